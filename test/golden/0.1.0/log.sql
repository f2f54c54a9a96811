CREATE TABLE artifacts (
      hash TEXT PRIMARY KEY NOT NULL,
      source TEXT NOT NULL
    ) STRICT, WITHOUT ROWID;
CREATE TABLE "effect_sql_migrations" (
  migration_id integer PRIMARY KEY NOT NULL,
  created_at datetime NOT NULL DEFAULT current_timestamp,
  name VARCHAR(255) NOT NULL
);
CREATE TABLE events (
      id INTEGER PRIMARY KEY NOT NULL,
      time TEXT NOT NULL,
      tenant_id TEXT,
      service_id TEXT,
      type TEXT NOT NULL,
      version INTEGER NOT NULL,
      payload TEXT NOT NULL,
      actor TEXT,
      causation_id INTEGER,
      hash TEXT NOT NULL
    ) STRICT;
CREATE TABLE log_head (
      singleton INTEGER PRIMARY KEY NOT NULL CHECK (singleton = 1),
      last_id INTEGER NOT NULL,
      last_hash TEXT NOT NULL
    ) STRICT;
CREATE INDEX events_by_service ON events (tenant_id, service_id, id);
CREATE INDEX events_by_tenant ON events (tenant_id, id);
CREATE INDEX events_by_type ON events (type, id);
INSERT INTO "artifacts" (hash, source) VALUES ('302827a2295794ee3c31a83d8cb1db110e7d80e83e64d260e569a163bfc50264','export default { fetch: (_: Request, ctx: { env: Record<string, string> }) =>
    new Response("doomed" + (ctx.env["SUFFIX"] ?? "")) }');
INSERT INTO "artifacts" (hash, source) VALUES ('4003f5a3166a16e822fd62daa1ec4c19924f7d4f670c06053e2b34d1c52b3854','export default { start() { setTimeout(() => { throw new Error("recorded") }, 20) },
  fetch: () => new Response("never for long") }');
INSERT INTO "artifacts" (hash, source) VALUES ('6f593f68cfcb190a71914547dda21d9026547fe6403ad1ad1aee77932d3a840b','export default { fetch: () => new Response(''js'') }');
INSERT INTO "artifacts" (hash, source) VALUES ('7106428c0198e75631648ac888070fa7c9db4b8555a6e4c6c090e34b84729fe9','export default { fetch: (_: Request, ctx: { env: Record<string, string> }) =>
    new Response("second life" + (ctx.env["SUFFIX"] ?? "")) }');
INSERT INTO "artifacts" (hash, source) VALUES ('717ebe6145ca2bc98703309c50b75a61621227237465b55498d90ff0ae6e0791','export default { fetch: (_: Request, ctx: { env: Record<string, string> }) =>
    new Response("after the crash" + (ctx.env["SUFFIX"] ?? "")) }');
INSERT INTO "artifacts" (hash, source) VALUES ('a90721ee5a3284d7fb6f67ccea02934312fc226bf51a0ba154fba3e46ea9ce23','export default { fetch: (_: Request, ctx: { env: Record<string, string> }) =>
    new Response("Ünïcode 🌱, of another tenant" + (ctx.env["SUFFIX"] ?? "")) }');
INSERT INTO "artifacts" (hash, source) VALUES ('adb9515d78e3daddf1d8637ab4668ebd3e44a2c436d9a56d2bce368bf6c226b3','export default { fetch: (_: Request, ctx: { env: Record<string, string> }) =>
    new Response("first life" + (ctx.env["SUFFIX"] ?? "")) }');
INSERT INTO "artifacts" (hash, source) VALUES ('cf43722d3a1138b7a8ce14e560329818e0dad96387e6cf4a780f980ec99ceb32','export default { fetch: (_: Request, ctx: { env: Record<string, string> }) =>
    new Response("plain" + (ctx.env["SUFFIX"] ?? "")) }');
INSERT INTO "effect_sql_migrations" (migration_id, created_at, name) VALUES (1,'2026-11-23 05:16:36','create_log');
INSERT INTO "events" (id, time, tenant_id, service_id, type, version, payload, actor, causation_id, hash) VALUES (1,'2026-11-23T05:16:36.688Z',NULL,NULL,'system_started',1,'{"kernelVersion":"0.1.0","pid":15387,"previousEnd":"none"}',NULL,NULL,'59da6fa6c900094bfb341469a17447d62438b63505aacfd2c20cf7aa6e290537');
INSERT INTO "events" (id, time, tenant_id, service_id, type, version, payload, actor, causation_id, hash) VALUES (2,'2026-11-23T05:16:36.752Z',NULL,NULL,'recovery_started',1,'{"services":0}',NULL,NULL,'eab646b64f2f3907ea866f3537cad08ed8ceffe60a28907f6ec87e346054b436');
INSERT INTO "events" (id, time, tenant_id, service_id, type, version, payload, actor, causation_id, hash) VALUES (3,'2026-11-23T05:16:36.771Z',NULL,NULL,'recovery_completed',1,'{"recovered":0,"skipped":0,"failed":0,"durationMs":0,"timedOut":false}',NULL,2,'68cd280674172cdd9658362da17a8230cd8f95bb350c9101e1594dbfe011c234');
INSERT INTO "events" (id, time, tenant_id, service_id, type, version, payload, actor, causation_id, hash) VALUES (4,'2026-11-23T05:16:37.428Z','acme','plain','service_deployed',1,'{"revision":1,"spec":{"serviceId":"plain","artifact":"cf43722d3a1138b7a8ce14e560329818e0dad96387e6cf4a780f980ec99ceb32","format":"typescript","limits":{"heapMb":64,"startupTimeoutMs":5000,"shutdownTimeoutMs":5000,"requestTimeoutMs":30000,"maxRestarts":5,"maxSeconds":60},"restart":"permanent","env":{},"secrets":[],"network":[]}}','root',NULL,'916b3080db827b46785756dfd9016dfaf87200fc6219b83cc53ef0095b656878');
INSERT INTO "events" (id, time, tenant_id, service_id, type, version, payload, actor, causation_id, hash) VALUES (5,'2026-11-23T05:16:37.594Z','acme','doomed','service_deployed',1,'{"revision":1,"spec":{"serviceId":"doomed","artifact":"302827a2295794ee3c31a83d8cb1db110e7d80e83e64d260e569a163bfc50264","format":"typescript","limits":{"heapMb":64,"startupTimeoutMs":5000,"shutdownTimeoutMs":5000,"requestTimeoutMs":30000,"maxRestarts":5,"maxSeconds":60},"restart":"permanent","env":{},"secrets":[],"network":[]}}','root',NULL,'9445aa29b4fcbd25ae4ddfb4bf218f9afa878187f0489ef917712bd5ad0d80e6');
INSERT INTO "events" (id, time, tenant_id, service_id, type, version, payload, actor, causation_id, hash) VALUES (6,'2026-11-23T05:16:37.750Z','acme','phoenix','service_deployed',1,'{"revision":1,"spec":{"serviceId":"phoenix","artifact":"adb9515d78e3daddf1d8637ab4668ebd3e44a2c436d9a56d2bce368bf6c226b3","format":"typescript","limits":{"heapMb":64,"startupTimeoutMs":5000,"shutdownTimeoutMs":5000,"requestTimeoutMs":30000,"maxRestarts":5,"maxSeconds":60},"restart":"permanent","env":{},"secrets":[],"network":[]}}','root',NULL,'7e329c3aef8ca0cad7a0d442bbd4d4a4fdb665afa918c46c191d5f115e938b3e');
INSERT INTO "events" (id, time, tenant_id, service_id, type, version, payload, actor, causation_id, hash) VALUES (7,'2026-11-23T05:16:37.858Z','acme','javascript','service_deployed',1,'{"revision":1,"spec":{"serviceId":"javascript","artifact":"6f593f68cfcb190a71914547dda21d9026547fe6403ad1ad1aee77932d3a840b","format":"javascript","limits":{"heapMb":32,"startupTimeoutMs":10000,"shutdownTimeoutMs":5000,"requestTimeoutMs":30000,"maxRestarts":1,"maxSeconds":60},"restart":"temporary","env":{"SUFFIX":"ignored"},"secrets":[],"network":[]}}','root',NULL,'2260b889f7e2268e21ddd355fc3df90d4fcbe9d963e477c727c51b007324dd86');
INSERT INTO "events" (id, time, tenant_id, service_id, type, version, payload, actor, causation_id, hash) VALUES (8,'2026-11-23T05:16:37.984Z','beta','plain','service_deployed',1,'{"revision":1,"spec":{"serviceId":"plain","artifact":"a90721ee5a3284d7fb6f67ccea02934312fc226bf51a0ba154fba3e46ea9ce23","format":"typescript","limits":{"heapMb":64,"startupTimeoutMs":5000,"shutdownTimeoutMs":5000,"requestTimeoutMs":30000,"maxRestarts":5,"maxSeconds":60},"restart":"permanent","env":{"SUFFIX":"!"},"secrets":[],"network":[]}}','root',NULL,'2096d4ef63394face7de49c6a3bb1369f6ddf1266a34b82a4cc56dab3310462f');
INSERT INTO "events" (id, time, tenant_id, service_id, type, version, payload, actor, causation_id, hash) VALUES (9,'2026-11-23T05:16:38.063Z','acme','broken','service_deployment_failed',1,'{"reason":"Unexpected token `<eof>`. Expected identifier, string literal, numeric literal or [ for the computed key","artifact":"8a41e13e680d639dbf639ed05feb3e3b74baa85ebce00bbf663e1a475358d67e"}','root',NULL,'6a464fc416d68f253ef32948f85f4f89b6055f7460a84b1fe1d163d0eaf18572');
INSERT INTO "events" (id, time, tenant_id, service_id, type, version, payload, actor, causation_id, hash) VALUES (10,'2026-11-23T05:16:38.238Z','acme','refused','service_deployment_failed',1,'{"reason":"TypeError: the default export has no method fetch: write `export default { fetch(request, ctx) { … } }`\n    at serviceOf (solo:realm:11:93551)\n    at start (solo:realm:11:94126)\n    at process.processTicksAndRejections (node:internal/process/task_queues:104:5)","artifact":"d67033cc86e71d894f63840aeb38e18e12d0e3a3bbaaa65104723c62eed867a5"}','root',NULL,'6312bbc5f6b43e033a5b8411db2c8a8d85eb2c05555c7d4cdf763577fc73de72');
INSERT INTO "events" (id, time, tenant_id, service_id, type, version, payload, actor, causation_id, hash) VALUES (11,'2026-11-23T05:16:38.265Z','acme','doomed','service_killed',1,'{"revision":1,"force":false}','root',NULL,'baf51b3b9d9b21ab9cb5eecd159948a0a4538118d34a6d0eb14fa252508ef874');
INSERT INTO "events" (id, time, tenant_id, service_id, type, version, payload, actor, causation_id, hash) VALUES (12,'2026-11-23T05:16:38.321Z','acme','phoenix','service_killed',1,'{"revision":1,"force":true}','root',NULL,'fb9e5d9de502b5a12a534776d04396aab6f590f8a806f08219d806335d3a561d');
INSERT INTO "events" (id, time, tenant_id, service_id, type, version, payload, actor, causation_id, hash) VALUES (13,'2026-11-23T05:16:38.588Z','acme','phoenix','service_deployed',1,'{"revision":2,"spec":{"serviceId":"phoenix","artifact":"7106428c0198e75631648ac888070fa7c9db4b8555a6e4c6c090e34b84729fe9","format":"typescript","limits":{"heapMb":64,"startupTimeoutMs":5000,"shutdownTimeoutMs":5000,"requestTimeoutMs":30000,"maxRestarts":5,"maxSeconds":60},"restart":"permanent","env":{},"secrets":[],"network":[]}}','root',NULL,'7f89df5ae77558a82d5c69d9f09a68ca0b97f82d2ce48734808c17d35f624b96');
INSERT INTO "events" (id, time, tenant_id, service_id, type, version, payload, actor, causation_id, hash) VALUES (14,'2026-11-23T05:16:38.767Z','beta','crashing','service_deployed',1,'{"revision":1,"spec":{"serviceId":"crashing","artifact":"4003f5a3166a16e822fd62daa1ec4c19924f7d4f670c06053e2b34d1c52b3854","format":"typescript","limits":{"heapMb":64,"startupTimeoutMs":5000,"shutdownTimeoutMs":5000,"requestTimeoutMs":30000,"maxRestarts":1,"maxSeconds":60},"restart":"permanent","env":{},"secrets":[],"network":[]}}','root',NULL,'ec7e114edfae67ab211b6508218bf069be88971e442b3578ece9d0d9b947f59b');
INSERT INTO "events" (id, time, tenant_id, service_id, type, version, payload, actor, causation_id, hash) VALUES (15,'2026-11-23T05:16:38.827Z','beta','crashing','service_crashed',1,'{"revision":1,"reason":"Error: recorded"}',NULL,NULL,'dccc9f978a58f9e7435e063a2d74c09f97f6114707da33ff2f0cae9f2037c9a3');
INSERT INTO "events" (id, time, tenant_id, service_id, type, version, payload, actor, causation_id, hash) VALUES (16,'2026-11-23T05:16:39.043Z','beta','crashing','service_restarted',1,'{"revision":1,"restarts":1}',NULL,NULL,'c65242704bc3e93a6782082eb9929d26012be7686a86aeb6d6e812e6cbf24a27');
INSERT INTO "events" (id, time, tenant_id, service_id, type, version, payload, actor, causation_id, hash) VALUES (17,'2026-11-23T05:16:39.073Z','beta','crashing','service_crashed',1,'{"revision":1,"reason":"Error: recorded"}',NULL,NULL,'a57949bbbe4bc5b22e450e100b648fb1fc9015c0f532725c911a4e39ae28ab41');
INSERT INTO "events" (id, time, tenant_id, service_id, type, version, payload, actor, causation_id, hash) VALUES (18,'2026-11-23T05:16:39.075Z','beta','crashing','service_gave_up',1,'{"revision":1,"restarts":1,"reason":"Error: recorded"}',NULL,NULL,'7e4ccb9b124f7ddc04c3ba1c766b8f4fadbad745774d9e8d6bee8c9fa81937d5');
INSERT INTO "events" (id, time, tenant_id, service_id, type, version, payload, actor, causation_id, hash) VALUES (19,'2026-11-23T05:16:39.130Z','beta','crashing','service_killed',1,'{"revision":1,"force":false}','root',NULL,'8cdf0c9e92c57a22971855a79b1ccd69caa0e890fe619c416d132fe7a54e071a');
INSERT INTO "events" (id, time, tenant_id, service_id, type, version, payload, actor, causation_id, hash) VALUES (20,'2026-11-23T05:16:41.284Z',NULL,NULL,'system_started',1,'{"kernelVersion":"0.1.0","pid":15508,"previousEnd":"unclean"}',NULL,NULL,'4aea16d9cc747a63c1041e442e394f3befd84667621dd46ae086a5d02e6f546d');
INSERT INTO "events" (id, time, tenant_id, service_id, type, version, payload, actor, causation_id, hash) VALUES (21,'2026-11-23T05:16:41.567Z',NULL,NULL,'recovery_started',1,'{"services":4}',NULL,NULL,'706e0eec0e55c4f860904acdde9a9d126d6fc33a3e5270e407d9d7947e009b36');
INSERT INTO "events" (id, time, tenant_id, service_id, type, version, payload, actor, causation_id, hash) VALUES (22,'2026-11-23T05:16:42.144Z','acme','javascript','service_recovered',1,'{"revision":1}',NULL,21,'22d51c764f6f9c8d76e99e2c77470650800194905d7c8a8df031c272054a9963');
INSERT INTO "events" (id, time, tenant_id, service_id, type, version, payload, actor, causation_id, hash) VALUES (23,'2026-11-23T05:16:42.161Z','beta','plain','service_recovered',1,'{"revision":1}',NULL,21,'dd4e38d431e05f2efd5a7c409ef88cdbc3106b868f936cfd5f932f1155fd27ac');
INSERT INTO "events" (id, time, tenant_id, service_id, type, version, payload, actor, causation_id, hash) VALUES (24,'2026-11-23T05:16:42.161Z','acme','phoenix','service_recovered',1,'{"revision":2}',NULL,21,'599f39656a387939374ef665b475320aa9bed8dbed0e34855686102d4c3632c3');
INSERT INTO "events" (id, time, tenant_id, service_id, type, version, payload, actor, causation_id, hash) VALUES (25,'2026-11-23T05:16:42.195Z','acme','plain','service_recovered',1,'{"revision":1}',NULL,21,'91f2561193d88280b5fcb2d138062736483b8223ac5e1c602d650eaa04e401c6');
INSERT INTO "events" (id, time, tenant_id, service_id, type, version, payload, actor, causation_id, hash) VALUES (26,'2026-11-23T05:16:42.207Z',NULL,NULL,'recovery_completed',1,'{"recovered":4,"skipped":0,"failed":0,"durationMs":637,"timedOut":false}',NULL,21,'950cad4cc2dd8c33c48836059575a771a6da047ae5b03fe5b1ed6e09ab97646f');
INSERT INTO "events" (id, time, tenant_id, service_id, type, version, payload, actor, causation_id, hash) VALUES (27,'2026-11-23T05:16:42.424Z','beta','late','service_deployed',1,'{"revision":1,"spec":{"serviceId":"late","artifact":"717ebe6145ca2bc98703309c50b75a61621227237465b55498d90ff0ae6e0791","format":"typescript","limits":{"heapMb":64,"startupTimeoutMs":5000,"shutdownTimeoutMs":5000,"requestTimeoutMs":30000,"maxRestarts":5,"maxSeconds":60},"restart":"permanent","env":{},"secrets":[],"network":[]}}','root',NULL,'e484fa81e67c78d884c63e7eda14c3ae55aa2ed5160f32b25cbba41292d747ff');
INSERT INTO "events" (id, time, tenant_id, service_id, type, version, payload, actor, causation_id, hash) VALUES (28,'2026-11-23T05:16:42.450Z',NULL,NULL,'system_shutdown_started',1,'{"reason":"SIGTERM"}',NULL,NULL,'5e2229ec4a450bc7a9186955aef8e0bd4b24b5e85a51571e166e8753da1147c0');
INSERT INTO "events" (id, time, tenant_id, service_id, type, version, payload, actor, causation_id, hash) VALUES (29,'2026-11-23T05:16:42.555Z',NULL,NULL,'system_shutdown_complete',1,'{"durationMs":93}',NULL,NULL,'247156444fc7942cdc1534c188024004956c98be4f573dd1412bb250d3233b47');
INSERT INTO "log_head" (singleton, last_id, last_hash) VALUES (1,29,'247156444fc7942cdc1534c188024004956c98be4f573dd1412bb250d3233b47');

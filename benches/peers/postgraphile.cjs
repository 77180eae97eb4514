// PostGraphile as its documentation sets it up for tokens of another issuer: verified, then handed to PostgreSQL as settings.
const { readFileSync } = require("node:fs");
const { createServer } = require("node:http");
const { Pool } = require("pg");
const { verify } = require("jsonwebtoken");
const { postgraphile } = require("postgraphile");

const settings = JSON.parse(readFileSync(process.argv[2], "utf8"));
const pool = new Pool({ connectionString: settings.database, max: settings.connections });
const expected = { algorithms: ["RS256"], issuer: settings.issuer, audience: settings.audience };

const handler = postgraphile(pool, "public", {
  disableQueryLog: true,
  disableDefaultMutations: true,
  graphiql: false,
  pgSettings: (request) => {
    const token = (request.headers.authorization ?? "").replace(/^Bearer /, "");
    const claims = verify(token, settings.key, expected);
    return { role: settings.role, "request.jwt.claims": JSON.stringify(claims) };
  },
});
createServer(handler).listen(settings.port, "127.0.0.1");

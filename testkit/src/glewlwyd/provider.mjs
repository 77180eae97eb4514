// Debian's glewlwyd for the tests: an OpenID provider by another hand.
//
// In: lines of JSON on standard input, the first with the settings, each further one an order. Out: one line of JSON for each. It ends,
// and glewlwyd with it, when its input does.
import { spawn } from 'node:child_process';
import * as crypto from 'node:crypto';
import * as fs from 'node:fs';
import * as net from 'node:net';
import * as path from 'node:path';
import * as readline from 'node:readline';
import { DatabaseSync } from 'node:sqlite';
import { gunzipSync } from 'node:zlib';

const CALLBACK = 'http://127.0.0.1:9/callback';
const SCHEMA = 'share/doc/glewlwyd/database/init.sqlite3.sql.gz';
// What its own schema gives to its administrator.
const ADMIN = { username: 'admin', password: 'password' };
const PASSWORD = 'a password of the tests';

let home, folder, port, api, program, log;

const freePort = () =>
  new Promise((resolve, reject) => {
    const probe = net.createServer().once('error', reject);
    probe.listen(0, '127.0.0.1', () => {
      const { port } = probe.address();
      probe.close(() => resolve(port));
    });
  });

function key(kid) {
  const { privateKey } = crypto.generateKeyPairSync('rsa', { modulusLength: 2048 });
  return { ...privateKey.export({ format: 'jwk' }), alg: 'RS256', use: 'sig', kid };
}

// A session: cookies and JSON.
class Session {
  cookies = new Map();
  async ask(method, at, body) {
    const headers = { cookie: [...this.cookies].map(([name, value]) => `${name}=${value}`).join('; ') };
    if (body) headers['content-type'] = 'application/json';
    const options = { method, headers, body: body && JSON.stringify(body), redirect: 'manual' };
    const response = await fetch(at.startsWith('http') ? at : api + at, options);
    for (const cookie of response.headers.getSetCookie()) {
      const [name, ...value] = cookie.split(';')[0].split('=');
      this.cookies.set(name, value.join('='));
    }
    return response;
  }
  async must(method, at, body) {
    const response = await this.ask(method, at, body);
    if (!response.ok) throw new Error(`${method} ${at}: ${response.status} ${await response.text()}`);
    return response;
  }
}

function configuration() {
  return `
port=${port}
bind_address="127.0.0.1"
external_url="http://127.0.0.1:${port}"
login_url="login.html"
api_prefix="api"
log_mode="console"
log_level="WARNING"
cookie_domain="127.0.0.1"
cookie_secure=0
static_files_path="${home}/share/glewlwyd/webapp"
user_module_path="${home}/lib/glewlwyd/user"
client_module_path="${home}/lib/glewlwyd/client"
user_auth_scheme_module_path="${home}/lib/glewlwyd/scheme"
plugin_module_path="${home}/lib/glewlwyd/plugin"
login_api_enabled=true
admin_scope="g_admin"
profile_scope="g_profile"
hash_algorithm="SHA512"
database={ type="sqlite3"; path="${folder}/glewlwyd.db"; };
`;
}

function plugin(resource) {
  return {
    iss: `${api}/oidc`,
    'jwks-private': JSON.stringify({ keys: [key('glewlwyd-1')] }),
    'default-kid': 'glewlwyd-1',
    'jwt-type': 'rsa',
    'jwt-key-size': '256',
    'jwks-show': true,
    'access-token-duration': 600,
    'refresh-token-duration': 3600,
    'code-duration': 600,
    'refresh-token-rolling': true,
    'allow-non-oidc': true,
    'auth-type-client-enabled': true,
    'auth-type-code-enabled': true,
    'auth-type-code-revoke-replayed': true,
    'auth-type-password-enabled': false,
    'auth-type-refresh-enabled': true,
    'auth-type-token-enabled': false,
    'auth-type-id-token-enabled': false,
    'auth-type-none-enabled': false,
    'introspection-revocation-allowed': false,
    'pkce-allowed': true,
    'pkce-required': true,
    'subject-type': 'public',
    'resource-allowed': true,
    'resource-scope': { openid: [resource], api: [resource] },
    'resource-change-allowed': false,
    scope: [],
    'additional-parameters': [{ 'user-parameter': 'name', 'token-parameter': 'preferred_username' }],
    claims: [],
    'name-claim': 'no',
    'email-claim': 'no',
    'scope-claim': 'no',
    'allowed-scope': ['openid', 'api'],
  };
}

async function listening() {
  for (;;) {
    if (program.exitCode !== null) throw new Error(`glewlwyd ended: ${fs.readFileSync(log)}`);
    const up = await fetch(`${api}/`).then(() => true, () => false);
    if (up) return;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

const orders = {
  start: async (settings) => {
    ({ home, folder } = settings);
    port = await freePort();
    api = `http://127.0.0.1:${port}/api`;
    const database = new DatabaseSync(path.join(folder, 'glewlwyd.db'));
    database.exec(gunzipSync(fs.readFileSync(path.join(home, SCHEMA))).toString());
    database.close();
    fs.writeFileSync(path.join(folder, 'glewlwyd.conf'), configuration());
    log = path.join(folder, 'log');
    const output = fs.openSync(log, 'a');
    const libraries = fs.readdirSync(`${home}/lib`).map((name) => `${home}/lib/${name}`).join(':');
    program = spawn(`${home}/bin/glewlwyd`, [`--config-file=${folder}/glewlwyd.conf`], {
      env: { ...process.env, LD_LIBRARY_PATH: libraries },
      stdio: ['ignore', output, output],
    });
    await listening();

    const admin = new Session();
    await admin.must('POST', '/auth/', ADMIN);
    const scope = { name: 'api', display_name: 'api', description: 'of the tests', password_required: true, password_max_age: 0, scheme: {} };
    await admin.must('POST', '/scope/', scope);
    await admin.must('POST', '/mod/plugin/', { module: 'oidc', name: 'oidc', display_name: 'oidc', parameters: plugin(settings.resource) });
    for (const username of settings.people) {
      const person = { username, password: PASSWORD, name: username, email: `${username}@example.com`, scope: ['openid', 'api', 'g_profile'], enabled: true };
      await admin.must('POST', '/user/?source=database', person);
    }
    await admin.must('POST', '/client/?source=database', {
      client_id: settings.client,
      name: settings.client,
      confidential: true,
      client_secret: `${settings.client}-secret`,
      password: `${settings.client}-secret`,
      enabled: true,
      redirect_uri: [CALLBACK],
      authorization_type: ['code', 'refresh_token', 'client_credentials'],
      scope: ['api'],
      token_endpoint_auth_method: ['client_secret_basic'],
    });
    return { issuer: `${api}/oidc` };
  },
  // Code and PKCE (RFC 7636), as a client of the web would.
  signIn: async ({ login, client, resource }) => {
    const session = new Session();
    await session.must('POST', '/auth/', { username: login, password: PASSWORD });
    await session.must('PUT', `/auth/grant/${client}/`, { scope: 'openid api' });
    const verifier = crypto.randomBytes(32).toString('base64url');
    const parameters = new URLSearchParams({
      client_id: client,
      redirect_uri: CALLBACK,
      response_type: 'code',
      scope: 'openid api',
      state: 'state',
      nonce: 'nonce of the tests',
      code_challenge: crypto.createHash('sha256').update(verifier).digest('base64url'),
      code_challenge_method: 'S256',
      resource,
      g_continue: '',
    });
    const response = await session.ask('GET', `/oidc/auth?${parameters}`);
    const back = new URL(response.headers.get('location') ?? 'about:blank');
    const code = back.searchParams.get('code');
    if (!code) throw new Error(`no code: ${response.status} ${back.href} ${await response.text()}`);
    const fields = { grant_type: 'authorization_code', code, redirect_uri: CALLBACK, code_verifier: verifier, resource };
    const authorization = `Basic ${Buffer.from(`${client}:${client}-secret`).toString('base64')}`;
    const token = await fetch(`${api}/oidc/token`, { method: 'POST', headers: { authorization }, body: new URLSearchParams(fields) });
    return token.json();
  },
};

for await (const line of readline.createInterface({ input: process.stdin })) {
  const { order, ...rest } = JSON.parse(line);
  let said;
  try {
    said = await orders[order](rest);
  } catch (error) {
    said = { failed: `${order}: ${error?.stack ?? error}` };
  }
  process.stdout.write(`${JSON.stringify(said)}\n`);
}
if (program) {
  const ended = new Promise((resolve) => program.once('exit', resolve));
  if (program.exitCode === null && program.kill('SIGKILL')) await ended;
}
if (folder) fs.rmSync(folder, { recursive: true, force: true });
process.exit(0);

// An OpenID provider for the tests: npm's oidc-provider, on 127.0.0.1.
//
// In: lines of JSON on standard input, the first with the settings, each further one an order. Out: one line of JSON for each. It ends
// when its input does, so it never outlives the test that started it.
import * as crypto from 'node:crypto';
import * as http from 'node:http';
import * as https from 'node:https';
import * as readline from 'node:readline';
import { Provider } from 'oidc-provider';

// Standard output is for answers alone.
console.log = console.info = console.error;

const SEEN_MAX = 20000;
const CALLBACK = 'http://127.0.0.1:9/callback';

let settings, issuer, port, server, handler;
let keys = [];
let mode = 'ok';
let seen = [];
let held = [];
let keysMade = 0;

function newKey(alg) {
  keysMade += 1;
  const options = { RS256: ['rsa', { modulusLength: 2048 }], ES256: ['ec', { namedCurve: 'P-256' }], EdDSA: ['ed25519', {}] };
  const { privateKey } = crypto.generateKeyPairSync(...options[alg]);
  return { ...privateKey.export({ format: 'jwk' }), alg, use: 'sig', kid: `key-${keysMade}` };
}

const person = (login) => ({
  sub: login,
  preferred_username: login,
  name: `${login} of the tests`,
  email: `${login}@example.com`,
  email_verified: true,
  groups: ['staff'],
  ...(settings.people?.[login] ?? {}),
});

function confidential(client_id) {
  return {
    client_id,
    client_secret: `${client_id}-secret`,
    redirect_uris: [CALLBACK],
    grant_types: ['authorization_code', 'refresh_token', 'client_credentials'],
    response_types: ['code'],
  };
}

function build() {
  const provider = new Provider(issuer, {
    jwks: { keys },
    clients: [
      ...settings.clients.map(confidential),
      {
        client_id: 'asuser-cli',
        application_type: 'native',
        token_endpoint_auth_method: 'none',
        // The port of a loopback address is the program's to choose (RFC 8252 section 7.3).
        redirect_uris: ['http://127.0.0.1/callback', 'http://127.0.0.1/', 'http://localhost/callback'],
        grant_types: ['authorization_code', 'refresh_token'],
        response_types: ['code'],
      },
    ],
    clientDefaults: { id_token_signed_response_alg: settings.alg },
    enabledJWA: { idTokenSigningAlgValues: ['RS256', 'ES256', 'EdDSA'] },
    cookies: { keys: ['a key of the tests'] },
    claims: { openid: ['sub'], email: ['email', 'email_verified'], profile: ['preferred_username', 'name', 'groups'] },
    scopes: ['openid', 'offline_access', ...settings.scopes],
    findAccount: (_, id) => ({ accountId: id, claims: () => person(id) }),
    extraTokenClaims: (_, token) => (token.accountId ? { ...person(token.accountId), sub: undefined } : undefined),
    issueRefreshToken: async (_, client, code) => client.grantTypeAllowed('refresh_token') && code.scopes.has('offline_access'),
    features: {
      devInteractions: { enabled: true },
      clientCredentials: { enabled: true },
      introspection: { enabled: true },
      revocation: { enabled: true },
      registration: { enabled: true },
      resourceIndicators: {
        enabled: true,
        defaultResource: () => settings.resource ?? undefined,
        useGrantedResource: () => true,
        getResourceServerInfo: (_, resource) => ({
          scope: settings.scopes.join(' '),
          audience: resource,
          accessTokenFormat: 'jwt',
          accessTokenTTL: 600,
          jwt: { sign: { alg: settings.alg } },
        }),
      },
    },
    pkce: { required: () => true },
    ttl: { AccessToken: 600, ClientCredentials: 600, Session: 3600, Grant: 3600, Interaction: 600, IdToken: 600 },
  });
  provider.on('server_error', (_, error) => console.error('server_error', error));
  handler = provider.callback();
}

function answer(request, response) {
  if (seen.length < SEEN_MAX) seen.push({ method: request.method, path: request.url, headers: request.headers });
  const guarded = request.url.startsWith('/.well-known/') || request.url.startsWith('/jwks');
  if (guarded && mode === 'error') {
    response.writeHead(500, { 'content-type': 'text/plain' }).end('the database is on fire');
  } else if (guarded && mode === 'slow') {
    held.push(() => handler(request, response));
  } else {
    handler(request, response);
  }
}

const listen = (at) =>
  new Promise((resolve, reject) => {
    server = settings.tls ? https.createServer(settings.tls, answer) : http.createServer(answer);
    server.once('error', reject);
    server.listen(at, '127.0.0.1', resolve);
  });

// A browser as far as the forms of the provider need one: cookies, forms, redirects.
class Browser {
  cookies = new Map();
  async go(url, form) {
    const headers = { cookie: [...this.cookies].map(([name, value]) => `${name}=${value}`).join('; ') };
    const body = form && new URLSearchParams(form);
    const response = await fetch(url, { method: form ? 'POST' : 'GET', headers, body, redirect: 'manual' });
    if (new URL(url).origin === issuer) {
      for (const cookie of response.headers.getSetCookie()) {
        const [name, ...value] = cookie.split(';')[0].split('=');
        this.cookies.set(name, value.join('='));
      }
    }
    return response;
  }
  // Signs in and consents, and gives the address that the client is sent back to.
  async signIn(url, login) {
    let response = await this.go(url);
    for (let step = 0; step < 12; step += 1) {
      const to = response.headers.get('location');
      if (to) {
        const next = new URL(to, issuer);
        if (next.origin !== issuer) return next.href;
        response = await this.go(next.href);
        continue;
      }
      const page = await response.text();
      const action = /<form[^>]* action="([^"]+)"/.exec(page)?.[1];
      if (!action) throw new Error(`no form in an answer of ${response.status}: ${page.slice(0, 400)}`);
      const prompt = /name="prompt" value="([^"]+)"/.exec(page)?.[1];
      response = await this.go(new URL(action, issuer).href, { prompt, login, password: 'any' });
    }
    throw new Error('the provider never sent the browser back');
  }
}

const basic = (client) => `Basic ${Buffer.from(`${client}:${client}-secret`).toString('base64')}`;

async function tokenEndpoint(client, fields) {
  const headers = { authorization: basic(client) };
  const response = await fetch(`${issuer}/token`, { method: 'POST', headers, body: new URLSearchParams(fields) });
  return response.json();
}

// Code and PKCE (RFC 7636), as a client of the web would.
async function signIn({ login, client, resource, scope }) {
  const verifier = crypto.randomBytes(32).toString('base64url');
  const challenge = crypto.createHash('sha256').update(verifier).digest('base64url');
  const url = new URL(`${issuer}/auth`);
  const parameters = {
    client_id: client,
    redirect_uri: CALLBACK,
    response_type: 'code',
    scope,
    state: 'state',
    nonce: 'nonce',
    code_challenge: challenge,
    code_challenge_method: 'S256',
    prompt: 'consent',
    resource,
  };
  url.search = new URLSearchParams(parameters).toString();
  const back = new URL(await new Browser().signIn(url.href, login));
  const code = back.searchParams.get('code');
  if (!code) return { error: back.search };
  const fields = { grant_type: 'authorization_code', code, redirect_uri: CALLBACK, code_verifier: verifier, resource };
  return tokenEndpoint(client, fields);
}

const orders = {
  signIn,
  machine: ({ client, resource, scope }) => tokenEndpoint(client, { grant_type: 'client_credentials', resource, scope }),
  // Follows a client's own authorization request to its end, which is the client's callback.
  browse: async ({ url, login }) => {
    const back = await new Browser().signIn(url, login);
    const response = await fetch(back, { redirect: 'manual' });
    return { url: back, status: response.status, text: await response.text() };
  },
  // A new key signs from now on; the old ones stay published, or not.
  rotate: ({ keep }) => {
    keys = [newKey(settings.alg), ...(keep ? keys : [])];
    build();
    return { kid: keys[0].kid };
  },
  mode: async (order) => {
    const [before, now] = [mode, order.mode];
    mode = now;
    if (now === 'down' && before !== 'down') {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    }
    if (now !== 'down' && before === 'down') await listen(port);
    if (now !== 'slow') held.splice(0).forEach((go) => go());
    return {};
  },
  seen: () => ({ seen }),
  forget: () => {
    seen = [];
    return {};
  },
};

async function start(first) {
  settings = first;
  await listen(0);
  port = server.address().port;
  issuer = `${settings.tls ? 'https' : 'http'}://127.0.0.1:${port}`;
  keys = [newKey(settings.alg)];
  build();
  return { issuer, port };
}

for await (const line of readline.createInterface({ input: process.stdin })) {
  const { order, ...rest } = JSON.parse(line);
  let said;
  try {
    said = order === 'start' ? await start(rest) : await orders[order](rest);
  } catch (error) {
    said = { failed: `${order}: ${error?.stack ?? error}` };
  }
  process.stdout.write(`${JSON.stringify(said)}\n`);
}
process.exit(0);

/**
 * Keep every file of the page for use without a network, and give its answers the
 * headers that a plain web server cannot be told to send: those that let WebAssembly
 * use threads, and the policy that forbids every other origin to the worker too.
 */

declare const VERSION: string;
declare const POLICY: string;
declare const SHELL: string[];
const scope = self as unknown as ServiceWorkerGlobalScope;
const PREFIX = "registration-try-";
const NAME = PREFIX + VERSION;
const HEADERS = {
  "Cross-Origin-Opener-Policy": "same-origin",
  "Cross-Origin-Embedder-Policy": "require-corp",
  "Cross-Origin-Resource-Policy": "same-origin",
  "Content-Security-Policy": POLICY,
};

scope.addEventListener("install", (event) => {
  event.waitUntil(
    (async () => {
      const kept = await caches.open(NAME);
      await kept.addAll(SHELL.map((file) => new Request(file, { cache: "reload" })));
      await scope.skipWaiting();
    })(),
  );
});

scope.addEventListener("activate", (event) => {
  event.waitUntil(
    (async () => {
      const names = await caches.keys();
      const old = names.filter((name) => name.startsWith(PREFIX) && name !== NAME);
      await Promise.all(old.map((name) => caches.delete(name)));
      await scope.clients.claim();
    })(),
  );
});

scope.addEventListener("fetch", (event) => {
  const inside = event.request.url.startsWith(scope.registration.scope);
  if (event.request.method === "GET" && inside) event.respondWith(answered(event.request));
});

async function answered(request: Request): Promise<Response> {
  const kept = await caches.open(NAME);
  const known = await kept.match(request, { ignoreSearch: true });
  if (known) return dressed(known);
  const answer = await fetch(request);
  if (answer.ok && answer.status === 200) await kept.put(request, answer.clone());
  return dressed(answer);
}

function dressed(answer: Response): Response {
  if (!answer.ok || answer.redirected) return answer;
  const headers = new Headers(answer.headers);
  for (const [name, value] of Object.entries(HEADERS)) headers.set(name, value);
  return new Response(answer.body, { status: answer.status, headers });
}

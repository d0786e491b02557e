// Answers of the backend that are not the expected ones. Between it and the page may be a proxy that answers for it.

/** Asks the backend, and throws an Error with words where it does not answer, or refuses. 404 is an answer: the caller knows what is not there. */
export async function answered(ask: () => Promise<Response>, signal?: AbortSignal): Promise<Response> {
  let response: Response;
  try {
    response = await ask();
  } catch (err) {
    if (signal?.aborted) throw err;
    throw new Error("The backend does not answer. Is etude still running?");
  }
  if (response.ok || response.status === 404) return response;
  throw new Error(await refusal(response));
}

/** JSON that the backend has, whatever was asked of it: a 404 is refused, too. */
export async function askedJson(path: string, init: RequestInit): Promise<unknown> {
  const response = await answered(() => fetch(path, init), init.signal ?? undefined);
  if (response.status === 404) throw new Error(await refusal(response));
  return jsonOf(response);
}

/** The words for a refusal: the backend's own, which are written for people, or its status. A proxy's web page is not shown. */
export async function refusal(response: Response): Promise<string> {
  const body = isWebPage(response) ? "" : (await response.text()).trim();
  const words = body.startsWith("<") ? "" : body;
  return words.length > 600 ? `${words.slice(0, 600)}…` : words || `The backend answered ${response.status} ${response.statusText}`.trim();
}

/** The JSON of an answer. */
export async function jsonOf(response: Response): Promise<unknown> {
  refuseWebPage(response);
  return response.json().catch(() => {
    throw new Error("The backend's answer is not JSON, or it was cut off. Try again.");
  });
}

/** Throws where a web page came instead of data. */
export function refuseWebPage(response: Response): void {
  if (isWebPage(response)) throw new Error("A web page came instead of the backend's answer. Is there a proxy in between that asks you to sign in?");
}

function isWebPage(response: Response): boolean {
  return /^text\/html\b/i.test(response.headers.get("Content-Type") ?? "");
}

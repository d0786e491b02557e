// A value on its way from the backend.

export type Loading<T> = { state: "none" } | { state: "loading"; before: T | undefined } | { state: "done"; value: T } | { state: "error"; message: string };

/** The value that can be shown meanwhile: the present one, or the one before it. */
export function valueOf<T>(loading: Loading<T>): T | undefined {
  return loading.state === "done" ? loading.value : loading.state === "loading" ? loading.before : undefined;
}

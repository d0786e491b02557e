// The source of the demo's services, asked for once.

import type { Lesson } from "../model/lesson";

const known = new Map<string, Promise<Lesson | undefined>>();

/** The lesson of a service of the demo; undefined where there is none. */
export function fetchLesson(service: string): Promise<Lesson | undefined> {
  const found = known.get(service);
  if (found) return found;
  const asked = fetch(`/api/etude/source/${encodeURIComponent(service)}`).then(
    async (response) => (response.ok ? ((await response.json()) as Lesson) : undefined),
    () => undefined,
  );
  known.set(service, asked);
  return asked;
}

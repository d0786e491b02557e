// Package labs has self-checking lessons and the engine that runs them.
//
// A lab is a folder. lab.yaml has its start, its question, and the check of an answer. lesson.md is its text.
// Other files are drawings of traces (package scenario) or, below work/, files of the learner's working copy.
// Labs come from this package and, with [Load], from a teacher's folders.
//
// An [Engine] runs labs on a [Stage]: it starts services, sends spans, and queries the received spans. Every
// start is a run with its own name. All spans of the run have this name in resource.lab, so that a check sees
// only the spans of its run. Wherever possible, a check queries the right answer from the spans instead of
// storing it.
//
// The engine performs one start or check at a time. Between them nothing runs.
package labs

// Package labs holds self-checking lessons and the engine that runs them.
//
// A lab is a folder: lab.yaml says how it starts, asks the question and says how an answer
// is checked; lesson.md is its text; further files are drawings of traces
// (package scenario) or, below work/, files of the learner's working copy. Labs come
// from this package and, with [Load], from folders of a teacher.
//
// An [Engine] plays labs on a [Stage]: it runs services, sends spans, and asks
// for what has been received. Every start is a run with a name of its own, and all
// of its spans carry it in resource.lab, so that a check sees the spans of this run
// alone. Checks never know an answer by heart where spans can tell it: they ask for
// the span, and compare.
//
// Starting and checking are done one at a time. Nothing runs between them.
package labs

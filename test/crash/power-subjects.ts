/** The programs whose images are judged, by a description that can be handed to another thread. */
import { join } from 'node:path'
import { bareSubject, type Synchronous } from './bare-subject.js'
import type { Subject } from './powerloss.js'
import { type Durability, queueSubject } from './queue-subject.js'
import { seamSubject } from './seam-subject.js'

export type SubjectKind =
  | { readonly kind: 'bare'; readonly synchronous: Synchronous }
  | { readonly kind: 'queue'; readonly durability: Durability }
  | { readonly kind: 'seam'; readonly durability: Durability; readonly seed: number; readonly control?: 'acks-first' }

/** Batches of one recording: enough to have several checkpoints, and small enough to open thousands of images. */
const STEPS = 60

export function subjectOf(which: SubjectKind, programs: string): Subject {
  const program = join(programs, `${which.kind}.mjs`)
  if (which.kind === 'bare') return bareSubject(program, which.synchronous)
  if (which.kind === 'queue') return queueSubject(program, which.durability)
  return seamSubject(program, { ...which, steps: STEPS })
}

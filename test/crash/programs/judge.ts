/** A thread that judges a part of the images of one recording. */
import { parentPort, workerData } from 'node:worker_threads'
import { type SubjectKind, subjectOf } from '../power-subjects.js'
import { type Draws, judgeImages, type Place } from '../powerloss.js'

export type JudgeOrders = {
  readonly log: string
  readonly which: SubjectKind
  readonly programs: string
  readonly place: Place
  readonly draws: Draws
}

const { log, which, programs, place, draws } = workerData as JudgeOrders
parentPort?.postMessage(await judgeImages(log, subjectOf(which, programs), place, draws))

/** programs/seam.ts, and what its images have to hold: exactly what had been written after one of its batches. */
import { join } from 'node:path'
import { LocalStorage } from '@a3s-lab/lane/storage'
import type { Subject, Verdict } from './powerloss.js'
import { drawSteps, findDifference, type Picture, readStorage, SeamModel } from './seam-workload.js'

export type SeamOptions = {
  readonly durability: 'full' | 'relaxed'
  readonly seed: number
  readonly steps: number
  readonly control?: 'acks-first'
}

export function seamSubject(program: string, options: SeamOptions): Subject {
  const { durability, seed, steps, control } = options
  const expected = drawExpected(seed, steps)
  return {
    name: `storage-${durability}${control ? `-${control}` : ''}`,
    program,
    args: [durability, String(seed), String(steps), control ?? ''],
    judge: (folder, acks) => judgeSeam(folder, acks, expected),
  }
}

/** What is stored after 0, 1, 2 … batches, and which attempts were ever about to begin. */
type Expected = { readonly pictures: readonly Picture[]; readonly begun: ReadonlySet<string> }

function drawExpected(seed: number, steps: number): Expected {
  const model = new SeamModel()
  const pictures = [model.picture()]
  const begun = new Set<string>()
  for (const { starts } of drawSteps(seed, steps, model)) {
    pictures.push(model.picture())
    for (const { seq, attempt } of starts) begun.add(`${seq} ${attempt}`)
  }
  return { pictures, begun }
}

async function judgeSeam(folder: string, acks: readonly string[], expected: Expected): Promise<Verdict> {
  let storage: LocalStorage | undefined
  try {
    storage = await LocalStorage.open({ path: join(folder, 'lane.db') })
    const faults: unknown[] = []
    storage.attach({
      idPrefix: 'other-',
      retention: { count: 1_000_000, ageMs: 1e12 },
      now: () => 1_700_000_200_000,
      onFault: (error) => faults.push(error),
    })
    const { steps, picture, running } = readStorage(storage)
    const stranger = running.find(({ seq, attempt }) => !expected.begun.has(`${seq} ${attempt}`))
    const should = expected.pictures[steps]
    return {
      missing: acks.filter((ack) => Number(ack) > steps),
      corrupt:
        faults.length > 0 ? String(faults[0]) : stranger && `running, and never begun: ${JSON.stringify(stranger)}`,
      gap:
        should &&
        prefixed(`after batch ${steps}`, findDifference(picture, should, new Set(running.map(({ seq }) => seq)))),
    }
  } catch (error) {
    return { missing: [], unreadable: String(error) }
  } finally {
    await storage?.close()
  }
}

const prefixed = (before: string, text: string | undefined): string | undefined =>
  text === undefined ? undefined : `${before}: ${text}`

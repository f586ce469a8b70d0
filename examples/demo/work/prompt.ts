/** The prompt lane: slow generation, two at a time. Each streams its tokens and stops within a token when told to. */
import { open } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { isLaneError } from '@a3s-lab/lane'
import { note, write } from '../commands.js'
import type { Queue } from '../figures.js'
import { Markov } from '../markov.js'
import type { Memory } from '../memory.js'

/** Time to the first token, and from one to the next: what a hosted model takes. */
const THINK_MS = [150, 500] as const
const TOKEN_MS = [8, 24] as const

/** Tokens of a paragraph. */
const PARAGRAPH = 20

/** Files of a directory that the model reads. */
const SAMPLES = 12

/** After everything else that the session lane has to note: a draft can wait. Other commands have 1,000. */
const DRAFT_PRIORITY = 5000

export function handlePrompts(queue: Queue, memory: Memory, folder: string): void {
  const models = new Map<string, Markov>()
  const modelOf = (directory: string): Markov => {
    const model = models.get(directory) ?? new Markov(samplesOf(memory, directory))
    models.set(directory, model)
    return model
  }

  queue.handle(write, async ({ directory, tokens }, { id, signal, progress, queue: children }) => {
    const model = modelOf(directory)
    const draft = await open(join(folder, `draft-${id}.txt`), 'w')
    let text = ''
    let kept = 0
    memory.speeches.set(id, { label: directory, text: '', startedAt: performance.now() })
    try {
      await sleep(between(THINK_MS), undefined, { signal })
      let spoken = 0
      for (const token of model.speak(tokens)) {
        await sleep(between(TOKEN_MS), undefined, { signal })
        text += token
        memory.tokens++
        progress(token)
        if (++spoken % PARAGRAPH > 0 && spoken < tokens) continue
        const paragraph = text.slice(kept).trim()
        kept = text.length
        await draft.appendFile(`${paragraph}\n`)
        // A child: nobody waits for it here, and when this generation is cancelled it goes too, unless it has run.
        const child = children.submit('session', note({ text: paragraph }), { priority: DRAFT_PRIORITY })
        child.catch((error: unknown) => {
          if (signal.aborted && isLaneError(error) && error.code === 'COMMAND_CANCELLED') memory.childrenCancelled++
        })
      }
      return text
    } finally {
      // Whatever ended it, the slot is held until the file is closed, and that is when the body has stopped.
      await draft.close()
      memory.speeches.delete(id)
      memory.bodyEnded(id, 'generation')
    }
  })
}

const samplesOf = ({ known }: Memory, directory: string): string[] =>
  known
    .filter(({ digest }) => digest.name === directory)
    .flatMap(({ digest }) => digest.files.map(({ sample }) => sample))
    .slice(0, SAMPLES)

const between = ([from, to]: readonly [number, number]): number => from + Math.random() * (to - from)

/**
 * The prompt lane: slow generation, two at a time. Each streams its tokens and stops within a token when told to. After every
 * paragraph it saves what it has, and after a crash it goes on from there.
 */
import { open } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { type CommandContext, isLaneError } from '@a3s-lab/lane'
import { note, noteId, write } from '../commands.js'
import type { Queue } from '../figures.js'
import { Markov } from '../markov.js'
import type { Memory } from '../memory.js'

/** Time to the first token, and from one to the next: what a hosted model takes. */
const THINK_MS = [150, 500] as const
const TOKEN_MS = [8, 24] as const

/** Tokens of a paragraph. */
const PARAGRAPH = 20

/** After everything else that the session lane has to note: a draft can wait. Other commands have 1,000. */
const DRAFT_PRIORITY = 5000

/** What a generation saves. */
type Draft = { readonly text: string; readonly spoken: number }

export function handlePrompts(queue: Queue, memory: Memory, folder: string): void {
  const models = new Map<string, Markov>()
  const modelOf = (directory: string): Markov => {
    const model = models.get(directory) ?? new Markov(samplesOf(memory, directory))
    models.set(directory, model)
    return model
  }

  queue.handle(write, async ({ directory, tokens }, context) => {
    const { id, signal, progress } = context
    let { text, spoken } = (context.restored as Draft | undefined) ?? { text: '', spoken: 0 }
    let kept = text.length
    memory.speeches.set(id, { label: directory, text, startedAt: performance.now() })
    // What an earlier process had read has to be known again before it goes on.
    await memory.recalled
    const model = modelOf(directory)
    const draft = await open(join(folder, `draft-${id.replaceAll(/\W/g, '-')}.txt`), 'w')
    try {
      await draft.appendFile(text)
      await sleep(between(THINK_MS), undefined, { signal })
      for (const token of model.speak(tokens - spoken)) {
        await sleep(between(TOKEN_MS), undefined, { signal })
        text += token
        memory.tokens++
        progress(token)
        if (++spoken % PARAGRAPH > 0 && spoken < tokens) continue
        const paragraph = text.slice(kept).trim()
        kept = text.length
        await draft.appendFile(`${paragraph}\n`)
        noteDraft(context, paragraph, memory)
        await context.checkpoint({ text, spoken })
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

/** A child: nobody waits for it here, and when this generation is cancelled it goes too, unless it has run. */
function noteDraft({ queue, signal }: CommandContext, text: string, memory: Memory): void {
  const child = queue.submit('session', note({ text }), { priority: DRAFT_PRIORITY, id: noteId(text) })
  child.catch((error: unknown) => {
    if (signal.aborted && isLaneError(error) && error.code === 'COMMAND_CANCELLED') memory.childrenCancelled++
  })
}

const samplesOf = ({ known }: Memory, directory: string): string[] =>
  known.filter(({ digest }) => digest.name === directory).flatMap(({ digest }) => digest.samples)

const between = ([from, to]: readonly [number, number]): number => from + Math.random() * (to - from)

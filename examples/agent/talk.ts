/** The conversation as it goes on: turns of the session, told line by line. */
import type { AgentSession } from '@a3s-lab/lane/agent'
import type { SessionEvent } from '@a3s-lab/lane/session'
import { duration, fitted, type Paint } from './chart.js'
import type { Timeline } from './timeline.js'

export class Talk {
  /** Exit codes of the tests that were run in turns, in order. */
  readonly tests: number[] = []
  readonly #session: AgentSession
  readonly #timeline: Timeline
  readonly #paint: Paint
  #text = ''

  constructor(session: AgentSession, timeline: Timeline, paint: Paint) {
    this.#session = session
    this.#timeline = timeline
    this.#paint = paint
  }

  /** One turn, to its end. Throws what ended it early. */
  async turn(prompt: string): Promise<void> {
    this.say('you', prompt)
    for await (const event of this.#session.stream(prompt)) this.#tell(event)
  }

  say(who: string, text: string): void {
    const when = duration(this.#timeline.now).padStart(6)
    const lines = wrapped(text, TEXT_CELLS)
    console.log(
      `${when}  ${this.#paint('bold', fitted(who, WHO_CELLS))} ${lines.join(`\n${' '.repeat(8 + WHO_CELLS + 1)}`)}`,
    )
  }

  #tell(event: SessionEvent): void {
    if (event.type === 'text_delta') this.#text += event.text
    else if (event.type === 'text_reset') this.#text = ''
    else if (event.type === 'turn_end') {
      if (this.#text !== '') this.say('model', this.#text)
      this.#text = ''
    } else if (event.type === 'tool_end') {
      const { id, name, exit_code: code } = event
      const label = this.#timeline.labelOfCall(id) ?? name
      if (label === 'npm test') this.tests.push(code)
      this.say('tool', code === 0 ? label : `${label}: exit code ${code}`)
    } else if (event.type === 'error') throw new Error(event.message)
  }
}

const WHO_CELLS = 11
const TEXT_CELLS = 60

/** A text in lines of at most so many characters. */
function wrapped(text: string, cells: number): string[] {
  const lines: string[] = []
  for (const word of text.split(/\s+/)) {
    const last = lines.at(-1)
    if (last !== undefined && last.length + 1 + word.length <= cells) lines[lines.length - 1] = `${last} ${word}`
    else lines.push(word)
  }
  return lines
}

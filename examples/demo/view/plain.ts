/** The plain view: lines that can be piped, kept and compared. What happens, and once a second how things stand. */
import { loadOf } from '../lanes.js'
import type { Scene, View } from '../scene.js'
import type { Entry } from './event-log.js'

export type PlainView = View & { tell(entry: Entry): void }

export function showPlain(scene: () => Scene, print: (line: string) => void): PlainView {
  const at = (now = performance.now()): string => `${((now - scene().startedAt) / 1000).toFixed(1).padStart(5)} s `
  const status = (): void => {
    const { queue, figures, memory } = scene()
    const lanes = Object.entries(queue.stats().lanes).map(
      ([id, { active, pending, paused }]) =>
        `${id} ${active}+${pending}${paused ? ' paused' : ''} (${figures.lane(id).done})`,
    )
    print(`${at()} ${loadOf(queue, memory.lenders).isFull ? 'full  ' : 'room  '}  ${lanes.join('  ')}`)
  }
  const timer = setInterval(status, 1000)
  return {
    say: (text) => print(`${at()} ${text}`),
    tell({ at: when, lane, what, about, times }) {
      print(`${at(when)} ${lane.padEnd(8)} ${what}${about === '' ? '' : `: ${about}`}${times > 1 ? ` ×${times}` : ''}`)
    },
    close: () => clearInterval(timer),
  }
}

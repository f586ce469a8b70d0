/** The live view: ten pictures a second, on a screen of its own, which gives the terminal back as it was. */
import { createLogUpdate } from 'log-update'
import type { Scene, View } from '../scene.js'
import { frame, sizeOf } from './frame.js'
import type { Paint } from './paint.js'
import { MOMENT_MS, Rates } from './rates.js'

const EVERY_MS = 100

/** Switches to the alternate screen and back. */
const ENTER = '\u001b[?1049h\u001b[H'
const LEAVE = '\u001b[?1049l'
const CLEAR = '\u001b[2J\u001b[H'

export function showLive(scene: Scene, paint: Paint, stdout: NodeJS.WriteStream): View {
  const update = createLogUpdate(stdout)
  const rates = new Rates(scene.figures)
  let said = ''
  const draw = (): void => update(frame({ scene, rates, said, size: sizeOf(stdout), paint }).join('\n'))
  const onResize = (): void => {
    // The terminal has wrapped the old picture in its own way: start on an empty screen.
    update.clear()
    stdout.write(CLEAR)
    draw()
  }
  const leave = (): void => void stdout.write(LEAVE)
  stdout.write(ENTER)
  process.once('exit', leave)
  stdout.on('resize', onResize)
  const drawing = setInterval(draw, EVERY_MS)
  const sampling = setInterval(() => rates.sample(), MOMENT_MS)
  return {
    say(text) {
      said = text
      draw()
    },
    close() {
      clearInterval(drawing)
      clearInterval(sampling)
      stdout.off('resize', onResize)
      update.done()
      process.off('exit', leave)
      leave()
    },
  }
}

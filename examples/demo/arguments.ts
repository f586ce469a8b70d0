/** The command line of the demo. */
import { statSync } from 'node:fs'
import { resolve } from 'node:path'
import { parseArgs } from 'node:util'

export const USAGE = `Usage: npm run demo [-- [options] [folder]]

An agent works on the files of a folder (default: this one) through a queue of six lanes.

  --seconds <n>  how long it works, in all: 3 to 15, default 10
  --fresh        forgets what a demo that was killed has left behind
  --memory       keeps nothing on the disk: what is killed is gone
  --json         one JSON document with all figures, and nothing else
  --plain        lines instead of the live view
  --help         this text

What it does is kept on the disk. Kill it at any moment (kill -9), start it again with the same folder, and it goes on
where it was. Ctrl-C ends it in good order. NO_COLOR=1 turns colours off.
`

/** How to show the work. */
type Show = 'live' | 'plain' | 'json'

export type Wish =
  | {
      readonly kind: 'run'
      readonly root: string
      readonly seconds: number
      readonly show: Show
      readonly memory: boolean
      readonly fresh: boolean
    }
  | { readonly kind: 'help' }
  | { readonly kind: 'refused'; readonly message: string }

const SECONDS = { min: 3, max: 15, default: 10 }

/** What the user wants; refused with a sentence when it makes no sense. */
export function readArguments(args: readonly string[], canShowLive: boolean): Wish {
  const parsed = parse(args)
  if (typeof parsed === 'string') return { kind: 'refused', message: `${parsed}\n\n${USAGE}` }
  const { values, positionals } = parsed
  if (values.help === true) return { kind: 'help' }
  if (positionals.length > 1) return { kind: 'refused', message: `One folder at a time, please.\n\n${USAGE}` }
  const seconds = Number(values.seconds ?? SECONDS.default)
  if (!(seconds >= SECONDS.min && seconds <= SECONDS.max)) {
    const message = `--seconds takes a number from ${SECONDS.min} to ${SECONDS.max}, not '${values.seconds}'.`
    return { kind: 'refused', message: `${message}\n\n${USAGE}` }
  }
  // npm runs scripts in the project's folder; a folder that is named is meant from where the user is
  const root = positionals[0] === undefined ? resolve('.') : resolve(process.env['INIT_CWD'] ?? '.', positionals[0])
  const fault = faultOf(root)
  if (fault !== undefined) return { kind: 'refused', message: `${fault}\n` }
  const forPeople = canShowLive && values.plain !== true ? 'live' : 'plain'
  const show = values.json === true ? 'json' : forPeople
  return { kind: 'run', root, seconds, show, memory: values.memory ?? false, fresh: values.fresh ?? false }
}

function parse(args: readonly string[]): ReturnType<typeof parseKnown> | string {
  try {
    return parseKnown(args)
  } catch (error) {
    return (error as Error).message.replace(/\. To specify.*$/s, '.')
  }
}

const parseKnown = (args: readonly string[]) =>
  parseArgs({
    args: [...args],
    allowPositionals: true,
    options: {
      json: { type: 'boolean' },
      plain: { type: 'boolean' },
      memory: { type: 'boolean' },
      fresh: { type: 'boolean' },
      help: { type: 'boolean', short: 'h' },
      seconds: { type: 'string' },
    },
  })

function faultOf(root: string): string | undefined {
  const found = statSync(root, { throwIfNoEntry: false })
  if (found === undefined) return `There is no folder ${root}.`
  return found.isDirectory() ? undefined : `${root} is not a folder.`
}

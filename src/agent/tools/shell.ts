/** Which shell commands run in, and what they find in its environment. */
import { accessSync, constants } from 'node:fs'
import { delimiter, join } from 'node:path'
import { env as ownEnvironment } from 'node:process'

/** What a command needs to find programs and to write text. Keys and passwords of this process are not among it. */
const PASSED = ['PATH', 'HOME', 'USER', 'LOGNAME', 'SHELL', 'LANG', 'LANGUAGE', 'TERM', 'TMPDIR', 'TZ']
const USUAL_PATH = '/usr/local/bin:/usr/bin:/bin'

export function environmentOf(
  added: Readonly<Record<string, string>> = {},
  from: Readonly<Record<string, string | undefined>> = ownEnvironment,
): Record<string, string> {
  const passed = Object.entries(from).filter(([name]) => PASSED.includes(name) || name.startsWith('LC_'))
  const texts = passed.flatMap(([name, value]) => (value === undefined ? [] : [[name, value] as const]))
  return { PATH: USUAL_PATH, ...Object.fromEntries(texts), ...added }
}

/** The first bash on the path, else the system's shell. */
export function shellOf({ PATH = USUAL_PATH }: Readonly<Record<string, string>>): string {
  const candidates = PATH.split(delimiter)
    .filter((folder) => folder.startsWith('/'))
    .map((folder) => join(folder, 'bash'))
  return candidates.find(isProgram) ?? '/bin/sh'
}

function isProgram(path: string): boolean {
  try {
    accessSync(path, constants.X_OK)
    return true
  } catch {
    return false
  }
}

/** The folder that the agent works in: a copy of this package's own source, in which something is wrong. */
import { cpSync, mkdtempSync, readFileSync, realpathSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const PACKAGE = new URL('../../../', import.meta.url)

/** Where, and what is left out there: no delay is ever cut to `maxMs`. */
const FAULT = {
  file: 'src/policy/retry.ts',
  right: 'Math.min(Math.trunc(this.initialMs * this.factor ** (retry - 1)), this.maxMs)',
  wrong: 'Math.trunc(this.initialMs * this.factor ** (retry - 1))',
}

const MANIFEST = {
  name: 'a-copy-of-lane',
  private: true,
  type: 'module',
  scripts: {
    test: 'rolldown src/policy/index.ts --format esm --file build/policy.js --log-level silent && node --test',
  },
}

export class Tree implements Disposable {
  readonly folder = realpathSync(mkdtempSync(join(tmpdir(), 'lane-agent-')))

  constructor() {
    cpSync(new URL('src/', PACKAGE), join(this.folder, 'src'), { recursive: true })
    writeFileSync(join(this.folder, 'package.json'), `${JSON.stringify(MANIFEST, undefined, 2)}\n`)
    const text = this.read(FAULT.file)
    if (!text.includes(FAULT.right)) throw new Error(`${FAULT.file} does not say '${FAULT.right}' any more`)
    writeFileSync(join(this.folder, FAULT.file), text.replace(FAULT.right, FAULT.wrong))
    process.once('exit', () => this[Symbol.dispose]())
  }

  /** Whether the agent has mended it. */
  get isMended(): boolean {
    return this.read(FAULT.file).includes(FAULT.right)
  }

  read(file: string): string {
    return readFileSync(join(this.folder, file), 'utf8')
  }

  [Symbol.dispose](): void {
    rmSync(this.folder, { recursive: true, force: true })
  }
}

const { PATH = '', HOME = '', TMPDIR } = process.env

/** What commands find in their environment: this package's programs, an npm that does not ask the network for news, no keys. */
export const COMMAND_ENVIRONMENT: Readonly<Record<string, string>> = {
  PATH: `${fileURLToPath(new URL('node_modules/.bin', PACKAGE))}:${PATH}`,
  HOME,
  ...(TMPDIR === undefined ? {} : { TMPDIR }),
  npm_config_update_notifier: 'false',
}

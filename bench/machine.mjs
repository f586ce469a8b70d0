// @ts-check
/** Where the figures come from: an absolute figure without this says nothing. */
import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { arch, cpus, platform, totalmem } from 'node:os'
import { fileURLToPath } from 'node:url'
import { BenchError, FAILED } from './bench-error.mjs'

/** @typedef {ReturnType<typeof describeMachine>} Machine */

export function describeMachine() {
  const processors = cpus()
  return {
    cpu: processors[0]?.model.trim() ?? 'unknown',
    cores: processors.length,
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    platform: `${platform()} ${arch()}`,
    node: process.version,
    v8: process.versions.v8,
  }
}

/** The commit that was measured, `+` for one with local changes; null outside a repository. */
export function describeCommit() {
  try {
    const commit = git('rev-parse', '--short', 'HEAD')
    return git('status', '--porcelain', '--untracked-files=no') === '' ? commit : `${commit}+`
  } catch {
    return null
  }
}

/** @param {string[]} args */
function git(...args) {
  const cwd = fileURLToPath(new URL('.', import.meta.url))
  return execFileSync('git', args, { cwd, encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim()
}

/** Our own package. */
const OURS = '@a3s-lab/lane'

/**
 * @param {string[]} names  of packages
 * @returns {Record<string, string>} their versions; one that cannot be loaded is an error
 */
export function versionsOf(names) {
  /** @type {Record<string, string>} */
  const versions = {}
  for (const name of new Set(names)) {
    const version = packageVersion(name)
    if (version === null) {
      const remedy = name === OURS ? 'is not built: run `npm run build` first' : 'is not installed: run `npm ci` first'
      throw new BenchError(`${name} ${remedy}.`, { exitCode: FAILED })
    }
    versions[name] = version
  }
  return versions
}

/**
 * @param {string} name  of a package
 * @returns {string | null} its version; null when it cannot be loaded: not installed, or ours not built
 */
function packageVersion(name) {
  let entry
  try {
    entry = new URL(import.meta.resolve(name))
  } catch {
    return null
  }
  if (!existsSync(entry)) return null
  for (let folder = new URL('.', entry); folder.pathname !== '/'; folder = new URL('..', folder)) {
    const manifest = new URL('package.json', folder)
    if (!existsSync(manifest)) continue
    const { name: found, version } = JSON.parse(readFileSync(manifest, 'utf8'))
    if (found === name) return version
  }
  return null
}

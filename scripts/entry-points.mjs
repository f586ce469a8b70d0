/**
 * The package's entry points, read from the export map: the one list that the test aliases, the documentation tests,
 * the packed-tarball checks and the API listing share, so a new subpath is known everywhere once it stands there.
 */
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

/** The project's folder, without a trailing slash. */
export const root = fileURLToPath(new URL('..', import.meta.url)).replace(/[\\/]$/, '')

/**
 * @typedef {object} EntryPoint
 * @property {string} subpath    as in the export map: '.', './testing'
 * @property {string} specifier  what users import: '@a3s-lab/lane/testing'
 * @property {string} js         built module, relative to the root
 * @property {string} types      its declarations, relative to the root
 * @property {string} source     the file it is built from, relative to the root
 */

/** @typedef {{ name: string, version: string, exports: Record<string, string | { types: string, default: string }>, peers: string[] }} Manifest */

const { peerDependencies, ...rest } =
  /** @type {Omit<Manifest, 'peers'> & { peerDependencies: Record<string, string> }} */ (
    JSON.parse(readFileSync(`${root}/package.json`, 'utf8'))
  )

/** package.json, with the names of the optional peers. */
/** @type {Manifest} */
export const manifest = { ...rest, peers: Object.keys(peerDependencies) }

/** @returns {EntryPoint[]} */
export function entryPoints() {
  return Object.entries(manifest.exports).flatMap(([subpath, target]) => {
    if (typeof target === 'string') return []
    const js = target.default.replace(/^\.\//, '')
    return [
      {
        subpath,
        specifier: manifest.name + subpath.slice(1),
        js,
        types: target.types.replace(/^\.\//, ''),
        source: js.replace(/^dist\//, 'src/').replace(/\.js$/, '.ts'),
      },
    ]
  })
}

// @ts-check
/** Where the files of a measurement are: a folder of its own under the temporary folder, gone when its process ends. */
import { mkdtempSync, rmSync, statfsSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** By the numbers that Linux gives them, in hexadecimal; those in memory are what has to be known. */
const FILE_SYSTEMS = new Map([
  ['1021994', 'tmpfs'],
  ['858458f6', 'ramfs'],
  ['ef53', 'ext'],
  ['58465342', 'xfs'],
  ['9123683e', 'btrfs'],
  ['794c7630', 'overlay'],
])

const IN_MEMORY = ['tmpfs', 'ramfs']

/** @returns {{ folder: string, fileSystem: string, isInMemory: boolean }} where all files are written */
export function describePlace() {
  const folder = tmpdir()
  const magic = statfsSync(folder).type.toString(16)
  const fileSystem = FILE_SYSTEMS.get(magic) ?? `file system ${magic}`
  return { folder, fileSystem, isInMemory: IN_MEMORY.includes(fileSystem) }
}

/** @returns {string} a new folder that is removed when this process ends */
export function ownFolder() {
  const folder = mkdtempSync(join(tmpdir(), 'lane-bench-'))
  process.once('exit', () => rmSync(folder, { recursive: true, force: true }))
  return folder
}

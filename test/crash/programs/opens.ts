/**
 * Opens a storage, writes one command if there is none, and closes it.
 *
 *   opens <folder>
 */
import { join } from 'node:path'
import { LocalStorage } from '@a3s-lab/lane/storage'
import { openOnce } from '../opening.js'

const [folder = ''] = process.argv.slice(2)
await openOnce(await LocalStorage.open({ path: join(folder, 'lane.db') }))

/**
 * Brings a file of an older version to the newest: through the machinery that does so for every released file, with steps of
 * our own.
 *
 *   migrates <folder>
 */
import { join } from 'node:path'
import { openForMigration } from '../migration-file.js'
import { STEPS } from '../migration-steps.js'

const [folder = ''] = process.argv.slice(2)
openForMigration(join(folder, 'lane.db'), STEPS)

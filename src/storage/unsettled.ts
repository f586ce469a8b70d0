/** Whether the tables have an unsettled command with a number: hot or cold. */
import type { Database } from './driver.js'

export function unsettledIn(database: Database): (seq: number) => boolean {
  const hot = database.prepare('SELECT 1 FROM commands WHERE seq = ? AND settled IS NULL')
  const cold = database.prepare('SELECT 1 FROM cold WHERE seq = ?')
  return (seq) => hot.get(seq) !== undefined || cold.get(seq) !== undefined
}

/** A thread of a storage: the one that writes, or one that makes a copy. */
import { parentPort, workerData } from 'node:worker_threads'
import { copy } from './backup.js'
import { findDriver } from './driver.js'
import { type CopyOrder, isCopyOrder, type ThreadSettings } from './thread-orders.js'
import { serve } from './thread-service.js'

const given = workerData as ThreadSettings | CopyOrder
if (isCopyOrder(given)) {
  const database = findDriver().open(given.copyOf, { busyMs: 2000 })
  copy(database, given.target)
  database.close()
} else if (parentPort !== null) serve(parentPort, given)

/** What the commands of this folder run, as one program. */

export { runTraces, type TracesCommand } from '../equivalence/traces-command.js'
export { type PowerLossOptions, runPowerLoss } from './powerloss-command.js'
export { buildRecorder, whyNoRecorder } from './recorder.js'
export { runSharedTorture, type SharedTortureCommand } from './shared-torture-command.js'
export { runTorture, type TortureCommand } from './torture-command.js'

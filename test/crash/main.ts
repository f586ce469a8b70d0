/** What the commands of this folder run, as one program. */
export { type PowerLossOptions, runPowerLoss } from './powerloss-command.js'
export { buildRecorder, whyNoRecorder } from './recorder.js'
export { runTorture, type TortureCommand } from './torture-command.js'

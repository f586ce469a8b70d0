// @ts-check
/** The package behind every subject. Names only: a subject's own module is loaded by the process that measures it. */
/** @type {Readonly<Record<string, string>>} */
export const packages = {
  lane: '@a3s-lab/lane',
  fastq: 'fastq',
  'async-queue': 'async',
  'async-priority-queue': 'async',
  'p-limit': 'p-limit',
  'p-queue': 'p-queue',
  bottleneck: 'bottleneck',
}

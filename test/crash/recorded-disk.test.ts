import { seededRandom } from '@a3s-lab/lane/testing'
import { describe, expect, test } from 'vitest'
import { type DiskCall, parseDiskLog, RecordedDisk } from './recorded-disk.js'

const PATH = '/data/file'

const write = (offset: number, text: string, path = PATH): DiskCall => ({
  kind: 'write',
  path,
  offset,
  data: Buffer.from(text),
})
const truncate = (length: number): DiskCall => ({ kind: 'truncate', path: PATH, length })
const syncBegin = (sync = 1): DiskCall => ({ kind: 'syncBegin', path: PATH, sync })
const syncEnd = (sync = 1): DiskCall => ({ kind: 'syncEnd', path: PATH, sync })

function diskAfter(...calls: DiskCall[]): RecordedDisk {
  const disk = new RecordedDisk((path) => path.endsWith('acks'))
  for (const call of calls) disk.apply(call)
  return disk
}

/** The file, when nothing that was not synced survives; 1: everything does. */
const survivor = (disk: RecordedDisk, chance: number): string | undefined =>
  disk.survivors(seededRandom(1), chance).get(PATH)?.toString()

describe('a disk after a power failure', () => {
  test('has what a sync has covered, and of the rest what was lucky', () => {
    const disk = diskAfter(write(0, 'durable'), syncBegin(), syncEnd(), write(7, ', waiting'))
    expect(survivor(disk, 0)).toBe('durable')
    expect(survivor(disk, 1)).toBe('durable, waiting')
  })

  test('does not count what was written while a sync was under way as covered by it', () => {
    const disk = diskAfter(write(0, 'before'), syncBegin(), write(6, ' during'), syncEnd())
    expect(survivor(disk, 0)).toBe('before')
    expect(survivor(disk, 1)).toBe('before during')
  })

  test('keeps the order of writes to one place', () => {
    const disk = diskAfter(write(0, 'old'), write(0, 'new'), syncBegin(), syncEnd())
    expect(survivor(disk, 0)).toBe('new')
  })

  test('loses or keeps a truncation whole', () => {
    const disk = diskAfter(write(0, 'a long text'), syncBegin(), syncEnd(), truncate(1))
    expect(survivor(disk, 0)).toBe('a long text')
    expect(survivor(disk, 1)).toBe('a')
  })

  test('reads zeros where nothing was written', () => {
    const disk = diskAfter(write(0, 'ab'), truncate(1), write(3, 'd'), syncBegin(), syncEnd())
    expect(survivor(disk, 0)).toBe('a\0\0d')
  })

  test('tears a write at the borders of its blocks, anywhere in it', () => {
    const text = 'x'.repeat(512) + 'y'.repeat(512) + 'z'.repeat(512)
    const seen = new Set<string>()
    const random = seededRandom(3)
    for (let n = 0; n < 200; n++) {
      const image = diskAfter(write(0, text)).survivors(random, 0.5).get(PATH) ?? Buffer.alloc(0)
      seen.add([0, 512, 1024].map((at) => (at < image.length ? String(image[at] ?? '') : '-')).join())
    }
    // each of the three blocks is there or not; a missing one at the end shortens the file
    expect(seen.size).toBe(8)
  })

  test('does not have deleted files, and has renamed ones under their new name', () => {
    const disk = diskAfter(write(0, 'gone'), { kind: 'unlink', path: PATH }, write(0, 'moved', '/data/other'))
    disk.apply({ kind: 'rename', path: '/data/other', to: '/data/name' })
    expect([...disk.survivors(seededRandom(1), 1).keys()]).toEqual(['/data/name'])
  })

  test('has no shared memory and no empty journal', () => {
    const disk = diskAfter(write(0, 'x', '/data/db-shm'), write(0, '', '/data/db-journal'), write(0, 'x', '/data/db'))
    expect([...disk.survivors(seededRandom(1), 1).keys()]).toEqual(['/data/db'])
  })

  test('takes what was acknowledged as seen at once, whole lines of it', () => {
    const disk = diskAfter(write(0, 'one\ntw', '/data/acks'), write(6, 'o\nthr', '/data/acks'))
    expect(disk.acks()).toEqual(['one', 'two'])
    expect(disk.survivors(seededRandom(1), 0).size).toBe(0)
  })
})

describe('the log of disk calls', () => {
  test('ends with the last whole record', () => {
    const record = Buffer.alloc(24 + 10 + 3)
    record.writeUInt32LE(0x4c_41_4e_45, 0)
    record.writeUInt32LE(1, 4)
    record.writeBigUInt64LE(7n, 8)
    record.writeUInt32LE(10, 16)
    record.writeUInt32LE(3, 20)
    record.write('/data/fileabc', 24)
    const log = Buffer.concat([record, record.subarray(0, 30)])
    expect(parseDiskLog(log)).toEqual([{ kind: 'write', path: PATH, offset: 7, data: Buffer.from('abc') }])
  })

  test('is refused when it is none', () => {
    expect(() => parseDiskLog(Buffer.alloc(24))).toThrow('no record at byte 0')
  })
})

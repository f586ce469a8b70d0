/** write, edit, delete, move, copy, and batch: what they do, and what they say when they cannot. */
import { chmodSync, mkdirSync, statSync, utimesSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { builtInTools } from '../../../src/agent/tools/index.js'
import { ToolFolder } from './tool-folder.js'

describe('write', () => {
  test('a new file is made, with the folders on the way', async () => {
    await using folder = new ToolFolder()
    const { output, metadata } = await folder.call('write', { path: 'a/b/c.txt', content: 'héllo\n' })
    expect(output).toBe('Created a/b/c.txt (7 bytes)')
    expect(folder.text('a/b/c.txt')).toBe('héllo\n')
    expect(metadata).toMatchObject({ created: true, bytes: 7, added: 1, removed: 0 })
    expect(folder.names('a/b')).toEqual(['c.txt'])
  })

  test('a file that is there is replaced, keeps its permissions, and the difference is told', async () => {
    await using folder = new ToolFolder()
    folder.file('run.sh', 'one\ntwo\n')
    chmodSync(folder.path('run.sh'), 0o755)
    const { output, metadata } = await folder.call('write', { path: 'run.sh', content: 'one\nthree\n' })
    expect(output).toBe('Overwrote run.sh (10 bytes, 1 lines added, 1 removed)')
    expect(metadata?.['diff']).toContain('--- a/run.sh\n+++ b/run.sh\n@@ -1,2 +1,2 @@\n one\n-two\n+three\n')
    expect(statSync(folder.path('run.sh')).mode & 0o777).toBe(0o755)
    expect(folder.names()).toEqual(['run.sh'])
  })

  test('a reader sees the old file or the new one, never a part', async () => {
    await using folder = new ToolFolder()
    const texts = ['a', 'b'].map((char) => char.repeat(300_000))
    folder.file('x', texts[0] as string)
    const writes = (async () => {
      for (let round = 0; round < 20; round++) await folder.call('write', { path: 'x', content: texts[round % 2] })
    })()
    let isWriting = true
    const seen = new Set<string>()
    void writes.finally(() => {
      isWriting = false
    })
    while (isWriting) {
      seen.add(folder.text('x'))
      await new Promise((resolve) => setImmediate(resolve))
    }
    await writes
    expect([...seen].every((text) => texts.includes(text))).toBe(true)
  })

  test('an empty file, the same text again, and one in place of a binary file', async () => {
    await using folder = new ToolFolder()
    expect((await folder.call('write', { path: 'e', content: '' })).output).toBe('Created e (0 bytes)')
    expect((await folder.call('write', { path: 'e', content: '' })).output).toBe('Overwrote e (0 bytes)')
    folder.file('bin', Buffer.from([0, 1]))
    expect((await folder.call('write', { path: 'bin', content: 'x' })).output).toBe('Overwrote bin (1 bytes)')
  })

  test('texts with nothing in common do not hold the process', async () => {
    await using folder = new ToolFolder()
    const lines = (seed: number): string =>
      Array.from({ length: 40_000 }, (_, index) => `${(index * seed) % 9973}`).join('\n')
    folder.file('x', lines(7919))
    const { metadata } = await folder.call('write', { path: 'x', content: lines(104_729) })
    expect(String(metadata?.['diff']).length).toBeLessThan(25_000)
  })

  test('what cannot be written is named, and nothing is left behind', async () => {
    await using folder = new ToolFolder({ limits: { fileBytes: 10 } })
    folder.file('dir/x', '').file('file', '')
    folder.pipe('pipe')
    const refusal = (path: string, content = 'x'): Promise<string> => folder.refusal('write', { path, content })
    expect(await refusal('big', 'x'.repeat(11))).toBe('The content has 11 bytes; at most 10 can be written')
    expect(await refusal('dir')).toBe("Path 'dir' is a folder, not a file")
    expect(await refusal('new/')).toBe("Path 'new/' names a folder: name the file")
    expect(await refusal('file/x')).toMatch(/leads through file, which is not a folder/)
    expect(await refusal('pipe')).toMatch(/is a named pipe/)
    expect(await refusal('.')).toMatch(/is a folder/)
    expect(await folder.refusal('write', { path: 'x' })).toMatch(/^Argument 'content' of write/)
    expect(folder.names()).toEqual(['dir', 'file', 'pipe'])
  })
})

describe('edit', () => {
  test('the one place is replaced, and the difference is shown', async () => {
    await using folder = new ToolFolder()
    folder.file('a.txt', 'one\ntwo\nthree\n')
    const { output, metadata } = await folder.call('edit', { path: 'a.txt', old_string: 'two', new_string: '2\n2b' })
    expect(folder.text('a.txt')).toBe('one\n2\n2b\nthree\n')
    expect(output).toMatch(/^Edited a\.txt \(1 place\)\n--- a\/a\.txt/)
    expect(metadata).toMatchObject({ replaced: 1, added: 2, removed: 1 })
  })

  test('several places need replace_all', async () => {
    await using folder = new ToolFolder()
    folder.file('a.txt', 'x\ny x\nx\n')
    const edit = { path: 'a.txt', old_string: 'x', new_string: '$& z' }
    expect(await folder.refusal('edit', edit)).toBe(
      'old_string is there 3 times (lines 1, 2, 3): give more of the text around it, or set replace_all',
    )
    expect((await folder.call('edit', { ...edit, replace_all: true })).output).toMatch(/\(3 places\)/)
    expect(folder.text('a.txt')).toBe('$& z\ny $& z\n$& z\n')
  })

  test('Windows line ends and the mark of byte order are kept', async () => {
    await using folder = new ToolFolder()
    folder.file('a.txt', '\uFEFFone\r\ntwo\r\nthree\r\n')
    await folder.call('edit', { path: 'a.txt', old_string: 'one\ntwo', new_string: '1\n2\n2b' })
    expect(folder.text('a.txt')).toBe('\uFEFF1\r\n2\r\n2b\r\nthree\r\n')
    await folder.call('edit', { path: 'a.txt', old_string: 'three', new_string: '3\n4' })
    expect(folder.text('a.txt')).toBe('\uFEFF1\r\n2\r\n2b\r\n3\r\n4\r\n')
    await folder.call('edit', { path: 'a.txt', old_string: '3\r\n4', new_string: 'end' })
    expect(folder.text('a.txt')).toBe('\uFEFF1\r\n2\r\n2b\r\nend\r\n')
  })

  test('what is not there is not guessed: the nearest line is named', async () => {
    await using folder = new ToolFolder()
    folder.file('a.txt', 'function alpha() {\n    return betaValue\n}\n')
    const refusal = (old: string): Promise<string> =>
      folder.refusal('edit', { path: 'a.txt', old_string: old, new_string: 'x' })
    expect(await refusal('return  betaValue')).toBe(
      'old_string is not in the file. Line 2 is like its first line, but its whitespace differs: "    return betaValue"',
    )
    expect(await refusal('return betaValues')).toBe(
      'old_string is not in the file. The nearest line is 2: "    return betaValue"',
    )
    expect(await refusal('    return betaValue\n]')).toMatch(
      /Line 2 is like its first line, but what follows it differs/,
    )
    expect(await refusal('%%%')).toBe('old_string is not in the file.')
  })

  test('what cannot be edited is named', async () => {
    await using folder = new ToolFolder({ limits: { fileBytes: 20 } })
    folder
      .file('a', 'x')
      .file('latin', Buffer.from([0xe9, 0x41]))
      .file('big', 'x'.repeat(21))
    const refusal = (path: string, old = 'x', replacement = 'y'): Promise<string> =>
      folder.refusal('edit', { path, old_string: old, new_string: replacement })
    expect(await refusal('a', 'x', 'x')).toBe('old_string and new_string are the same: nothing would change')
    expect(await refusal('a', '')).toMatch(/^Argument 'old_string' of edit/)
    expect(await refusal('a', 'x', 'y'.repeat(30))).toMatch(/would have 30 bytes; at most 20/)
    expect(await refusal('latin', 'A')).toBe("Path 'latin' is not UTF-8 text")
    expect(await refusal('big')).toMatch(/more than 20 bytes/)
    expect(await refusal('none')).toBe("Path 'none' does not exist")
  })
})

describe('delete', () => {
  test('a file, an empty folder, and a folder with all it holds', async () => {
    await using folder = new ToolFolder()
    folder.file('a', '').file('d/e/f', '').file('d/g', '')
    mkdirSync(folder.path('empty'))
    expect((await folder.call('delete', { path: 'a' })).output).toBe('Deleted a')
    expect((await folder.call('delete', { path: 'empty' })).exit_code).toBeUndefined()
    expect(await folder.refusal('delete', { path: 'd' })).toMatch(/a folder that is not empty: set recursive/)
    expect((await folder.call('delete', { path: 'd', recursive: true })).output).toBe(
      'Deleted the folder d (4 entries, itself included)',
    )
    expect(folder.names()).toEqual([])
  })

  test('a link goes, what it leads to stays', async () => {
    await using folder = new ToolFolder()
    folder.file('d/x', '').link('l', 'd').link('d/out', folder.outside())
    expect((await folder.call('delete', { path: 'l/' })).output).toBe('Deleted l (a link)')
    await folder.call('delete', { path: 'd', recursive: true })
    expect(folder.names()).toEqual([])
    expect(folder.outsideNow()).toContain('secret.txt')
  })

  test('the workspace itself is never deleted', async () => {
    await using folder = new ToolFolder()
    folder.file('a/x', '')
    for (const path of ['.', './', 'a/..', folder.path(), 'a/../a/..']) {
      expect(await folder.refusal('delete', { path, recursive: true })).toMatch(/is the workspace folder itself/)
    }
    expect(await folder.refusal('delete', { path: 'none' })).toBe("Path 'none' does not exist")
  })
})

describe('move', () => {
  test('files, folders and links get a new path', async () => {
    await using folder = new ToolFolder()
    folder.file('a', '1').file('d/x', '2').link('l', 'a')
    expect((await folder.call('move', { from: 'a', to: 'new/b' })).output).toBe('Moved a to new/b')
    await folder.call('move', { from: 'd', to: 'new/e' })
    await folder.call('move', { from: 'l', to: 'new/l' })
    expect(folder.names()).toEqual(['new'])
    expect(folder.names('new')).toEqual(['b', 'e', 'l'])
    expect(folder.text('new/e/x')).toBe('2')
  })

  test('nothing is replaced unless asked for', async () => {
    await using folder = new ToolFolder()
    folder.file('a', '1').file('b', '2').file('d/x', '')
    const refusal = (from: string, to: string, overwrite = false): Promise<string> =>
      folder.refusal('move', { from, to, overwrite })
    expect(await refusal('a', 'b')).toBe("Path 'b' exists already: set overwrite to replace it")
    expect(await refusal('a', 'd', true)).toMatch(/is a folder that exists: give the new path/)
    expect(await refusal('d', 'b', true)).toMatch(/is in the way of a folder/)
    expect(await refusal('a', './a', true)).toMatch(/are the same/)
    expect(await refusal('d', 'd/e/f')).toBe("Path 'd/e/f' is inside Path 'd'")
    expect(await refusal('none', 'x')).toBe("Path 'none' does not exist")
    expect(await refusal('a', 'new/')).toMatch(/names a folder/)
    expect(await refusal('.', 'x')).toMatch(/the workspace folder itself/)
    await folder.call('move', { from: 'a', to: 'b', overwrite: true })
    expect(folder.text('b')).toBe('1')
  })
})

describe('copy', () => {
  test('a file keeps its permissions', async () => {
    await using folder = new ToolFolder()
    folder.file('a', 'x'.repeat(600_000))
    chmodSync(folder.path('a'), 0o640)
    await folder.call('copy', { from: 'a', to: 'd/b' })
    expect(folder.text('d/b')).toBe(folder.text('a'))
    expect(statSync(folder.path('d/b')).mode & 0o777).toBe(0o640)
    expect(await folder.refusal('copy', { from: 'a', to: 'd/b' })).toMatch(/exists already/)
  })

  test('a folder is copied whole, without links and pipes', async () => {
    await using folder = new ToolFolder()
    folder.file('d/e/x', '1').file('d/y', '2').link('d/l', 'y').link('l', 'd')
    folder.pipe('d/pipe')
    expect((await folder.call('copy', { from: 'd', to: 'c' })).output).toBe(
      'Copied d to c (2 bytes in 4 entries; 2 links or special files were left out)',
    )
    expect(folder.names('c')).toEqual(['e', 'y'])
    expect(folder.text('c/e/x')).toBe('1')
    expect(await folder.refusal('copy', { from: 'l', to: 'm' })).toBe("Path 'l' is a link, which is not copied")
    expect(await folder.refusal('copy', { from: 'd/pipe', to: 'm' })).toMatch(/is a named pipe/)
    expect(await folder.refusal('copy', { from: 'd', to: 'd/z' })).toMatch(/is inside/)
  })

  test('what is too much leaves nothing', async () => {
    await using folder = new ToolFolder({ limits: { walkedEntries: 3, copyBytes: 10 } })
    for (let index = 0; index < 5; index++) folder.file(`many/${index}`, '')
    folder.file('big', 'x'.repeat(11))
    expect(await folder.refusal('copy', { from: 'many', to: 'c' })).toBe(
      'It has more than 3 entries: nothing was copied',
    )
    expect(await folder.refusal('copy', { from: 'big', to: 'c' })).toBe('It has more than 10 bytes: nothing was copied')
    expect(folder.names()).toEqual(['big', 'many'])
  })

  test('an abort leaves nothing', async () => {
    await using folder = new ToolFolder()
    for (let index = 0; index < 50; index++) folder.file(`many/${index}`, 'x'.repeat(1000))
    const controller = new AbortController()
    const copied = folder.call('copy', { from: 'many', to: 'c' }, controller.signal)
    setImmediate(() => controller.abort('stop'))
    await expect(copied).rejects.toBe('stop')
    expect(folder.names()).toEqual(['many'])
  })
})

test('what was written by somebody else between an edit and its reading is not lost', async () => {
  await using folder = new ToolFolder()
  folder.file('a', 'old text')
  const { workspace } = folder
  const locate = workspace.locate.bind(workspace)
  let looks = 0
  workspace.locate = async (...args) => {
    // after the text was read, before it is replaced
    if (++looks === 2) {
      folder.file('a', 'new text')
      utimesSync(folder.path('a'), 1, 1)
    }
    return locate(...args)
  }
  expect(await folder.refusal('edit', { path: 'a', old_string: 'old', new_string: 'x' })).toMatch(/was changed while/)
  expect(folder.text('a')).toBe('new text')
})

describe('batch', () => {
  test('all results come in the order of the calls', async () => {
    await using folder = new ToolFolder()
    folder.file('a', '1')
    const calls = [
      { name: 'read', args: { path: 'a' } },
      { name: 'read', args: { path: 'none' } },
    ]
    const { output, exit_code: exitCode, metadata } = await folder.call('batch', { calls })
    expect(output).toBe("[1] read: done\n     1\t1\n\n[2] read: failed, exit code 1\nPath 'none' does not exist")
    expect(exitCode).toBe(1)
    expect(metadata).toMatchObject({ calls: 2, failed: 1 })
  })

  test('pictures are passed on', async () => {
    await using folder = new ToolFolder()
    folder.file('a', Buffer.from('GIF89a'))
    const { images, exit_code: exitCode } = await folder.call('batch', {
      calls: [{ name: 'read', args: { path: 'a' } }],
    })
    expect([images?.length, exitCode]).toEqual([1, 0])
  })

  test('it is not empty, not long, and not in itself', async () => {
    await using folder = new ToolFolder({ limits: { batchCalls: 2 } })
    const refusal = (...names: string[]): Promise<string> =>
      folder.refusal('batch', { calls: names.map((name) => ({ name })) })
    expect(await refusal()).toMatch(/^Argument 'calls' of batch/)
    expect(await refusal('ls', 'ls', 'ls')).toMatch(/^Argument 'calls' of batch/)
    expect(await refusal('batch')).toBe('A batch does not hold another batch')
    expect(await folder.refusal('batch', { calls: [{ nam: 'x' }] })).toMatch(/calls\.0\.name/)
  })
})

describe('the set of tools', () => {
  test('each has a name, a description and a schema of its arguments', () => {
    const tools = builtInTools()
    expect(tools.map(({ name }) => name)).toEqual([
      'read',
      'write',
      'edit',
      'delete',
      'move',
      'copy',
      'ls',
      'glob',
      'grep',
      'bash',
      'web_fetch',
      'batch',
    ])
    for (const { name, description, parameters } of tools) {
      expect(description.length, name).toBeGreaterThan(40)
      expect(parameters, name).toMatchObject({ type: 'object', additionalProperties: false })
    }
    expect(tools[0]?.parameters).toMatchObject({ required: ['path'], properties: { offset: { type: 'integer' } } })
  })

  test('only those that read inside the workspace, and batch, run without a policy', () => {
    const free = builtInTools().flatMap(({ name, readOnly }) => (readOnly ? [name] : []))
    expect(free).toEqual(['read', 'ls', 'glob', 'grep', 'batch'])
  })

  test.each([
    [{ limits: { readLines: 0 } }, /limits\.readLines must be an integer of at least 1/],
    [{ limits: { readLine: 1 } }, /did you mean 'readLines'/],
    [{ limit: {} }, /did you mean 'limits'/],
  ])('%j is refused', (options, message) => {
    expect(() => builtInTools(options as never)).toThrow(message)
  })
})

/** read, ls, glob, grep: what they give, and what they say when they cannot. */
import { mkdirSync } from 'node:fs'
import { performance } from 'node:perf_hooks'
import { describe, expect, test } from 'vitest'
import { ToolFolder } from './tool-folder.js'

const numbered = (count: number): string => Array.from({ length: count }, (_, index) => `line ${index + 1}\n`).join('')
const PNG = Buffer.from('89504e470d0a1a0a0000000d49484452', 'hex')

describe('read', () => {
  test('lines come with their numbers', async () => {
    await using folder = new ToolFolder()
    folder.file('a.txt', 'one\ntwo\n')
    const { output, exit_code: exitCode, metadata } = await folder.call('read', { path: 'a.txt' })
    expect(output).toBe('     1\tone\n     2\ttwo')
    expect(exitCode).toBeUndefined()
    expect(metadata).toMatchObject({ path: 'a.txt', lines: 2, has_more: false })
  })

  test('a last line without a line feed is a line, and an empty file says so', async () => {
    await using folder = new ToolFolder()
    folder.file('a.txt', 'one\ntwo').file('empty', '')
    expect((await folder.call('read', { path: 'a.txt' })).output).toMatch(/2\ttwo$/)
    expect((await folder.call('read', { path: 'empty' })).output).toBe('(the file is empty)')
  })

  test('offset and limit choose lines, and the output says how to read on', async () => {
    await using folder = new ToolFolder()
    folder.file('a.txt', numbered(50))
    const { output } = await folder.call('read', { path: 'a.txt', offset: 10, limit: 2 })
    expect(output).toBe('    10\tline 10\n    11\tline 11\n(lines 10 to 11 of 50; read on with offset 12)')
    expect(await folder.refusal('read', { path: 'a.txt', offset: 51 })).toBe(
      "Path 'a.txt' has only 50 lines; offset was 51",
    )
  })

  test('what does not fit is left for the next call, and no line is without end', async () => {
    await using folder = new ToolFolder({ limits: { readChars: 100, lineChars: 40 } })
    folder.file('a.txt', `${'x'.repeat(1000)}\n${numbered(50)}`)
    const { output } = await folder.call('read', { path: 'a.txt' })
    expect(output).toContain(`${'x'.repeat(40)}… (the line goes on)`)
    expect(output).toMatch(/\(lines 1 to \d+ of 51; read on with offset \d+\)$/)
    expect(output.length).toBeLessThan(300)
  })

  test('lines that lie across the pieces that are read stay whole', async () => {
    await using folder = new ToolFolder({ limits: { readChars: 1e6, lineChars: 1e6 } })
    const lines = Array.from({ length: 30 }, (_, index) => `${index}${'é'.repeat(7000)}`)
    folder.file('a.txt', lines.join('\n'))
    const { output } = await folder.call('read', { path: 'a.txt' })
    expect(output.split('\n').map((line) => line.slice(7))).toEqual(lines)
  })

  test('a large file is not read to its end', async () => {
    await using folder = new ToolFolder({ limits: { fileBytes: 1000 } })
    folder.file('a.txt', numbered(100_000))
    const { output } = await folder.call('read', { path: 'a.txt', limit: 1 })
    expect(output).toContain('(lines 1 to 1 of more; read on with offset 2)')
  })

  test('the mark of byte order is taken off, carriage returns are kept', async () => {
    await using folder = new ToolFolder()
    folder.file('a.txt', '\uFEFFone\r\ntwo\r\n')
    const { output, metadata } = await folder.call('read', { path: 'a.txt' })
    expect(output).toBe('     1\tone\r\n     2\ttwo\r')
    expect(metadata).toMatchObject({ has_bom: true })
  })

  test('a picture is given to look at, whatever its name is', async () => {
    await using folder = new ToolFolder({ limits: { imageBytes: 100 } })
    folder.file('a.txt', PNG).file('b.png', Buffer.concat([PNG, Buffer.alloc(100)]))
    const { images } = await folder.call('read', { path: 'a.txt' })
    expect(images).toEqual([{ mediaType: 'image/png', data: PNG.toString('base64') }])
    expect(await folder.refusal('read', { path: 'b.png' })).toMatch(/a picture of 116 bytes; at most 100/)
  })

  test.each([
    ['image/jpeg', Buffer.from('ffd8ffe0', 'hex')],
    ['image/gif', Buffer.from('GIF89a')],
    ['image/webp', Buffer.from('RIFF0000WEBPVP8 ')],
  ])('%s is known by its first bytes', async (mediaType, bytes) => {
    await using folder = new ToolFolder()
    folder.file('a', bytes)
    expect((await folder.call('read', { path: 'a' })).images?.[0]?.mediaType).toBe(mediaType)
  })

  test('what is no text file is named', async () => {
    await using folder = new ToolFolder()
    folder.file('binary', Buffer.from([1, 2, 0, 3])).file('dir/x', '')
    folder.pipe('pipe')
    expect(await folder.refusal('read', { path: 'binary' })).toBe("Path 'binary' is a binary file")
    expect(await folder.refusal('read', { path: 'dir' })).toBe("Path 'dir' is a folder, not a file")
    expect(await folder.refusal('read', { path: 'none' })).toBe("Path 'none' does not exist")
    expect(await folder.refusal('read', { path: 'pipe' })).toBe("Path 'pipe' is a named pipe, not a regular file")
    expect(await folder.refusal('read', { path: 'binary/x' })).toMatch(/leads through binary, which is not a folder/)
    expect(await folder.refusal('read', { path: 'binary/' })).toMatch(/ends like a folder/)
  })

  test('arguments that do not fit are named', async () => {
    await using folder = new ToolFolder()
    expect(await folder.refusal('read', {})).toMatch(/^Argument 'path' of read: /)
    expect(await folder.refusal('read', { path: 'a', offset: 0 })).toMatch(/^Argument 'offset' of read: /)
    expect(await folder.refusal('read', { path: 'a', limt: 5 })).toMatch(/limt/)
    expect(await folder.refusal('read', 'a.txt')).toMatch(/^The arguments of read: /)
    expect(await folder.refusal('read', { path: '' })).toBe('The path is empty')
  })

  test('an argument that is null counts as left out', async () => {
    await using folder = new ToolFolder()
    folder.file('a.txt', 'x')
    expect((await folder.call('read', { path: 'a.txt', offset: null, limit: null })).output).toBe('     1\tx')
  })

  test('a call that was aborted rejects with the reason', async () => {
    await using folder = new ToolFolder()
    folder.file('a.txt', 'x')
    await expect(folder.call('read', { path: 'a.txt' }, AbortSignal.abort('stop'))).rejects.toBe('stop')
  })
})

describe('ls', () => {
  test('a folder is listed in order, with kinds and sizes', async () => {
    await using folder = new ToolFolder()
    folder.file('b.txt', 'xyz').file('a/x', '').file('.hidden', '').link('l', 'b.txt')
    folder.pipe('pipe')
    expect((await folder.call('ls', {})).output).toBe(
      '.hidden (0 bytes)\na/\nb.txt (3 bytes)\nl (link)\npipe (special file)',
    )
    expect((await folder.call('ls', { path: 'a/' })).output).toBe('x (0 bytes)')
  })

  test('an empty folder, one with many names, and what is none', async () => {
    await using folder = new ToolFolder({ limits: { entries: 3, walkedEntries: 5 } })
    mkdirSync(folder.path('empty'))
    for (let index = 0; index < 8; index++) folder.file(`many/${index}`, '')
    expect((await folder.call('ls', { path: 'empty' })).output).toBe('(the folder is empty)')
    expect((await folder.call('ls', { path: 'many' })).output).toMatch(/\(at least 2 more are not shown\)$/)
    expect(await folder.refusal('ls', { path: 'many/1' })).toBe("Path 'many/1' is not a folder")
    expect(await folder.refusal('ls', { path: 'none' })).toBe("Path 'none' does not exist")
  })

  test('a name with a line feed stays on its line', async () => {
    await using folder = new ToolFolder()
    folder.file('a\nb', '')
    expect((await folder.call('ls', {})).output).toBe('a\\u000ab (0 bytes)')
  })
})

describe('glob', () => {
  const tree = (folder: ToolFolder): ToolFolder =>
    folder
      .file('src/b.ts', '')
      .file('src/a.ts', '')
      .file('src/deep/c.ts', '')
      .file('src/d.md', '')
      .file('.github/w.yml', '')
      .file('node_modules/p/index.ts', '')
      .file('.git/config', '')
      .file('build/out.ts', '')
      .file('.gitignore', 'build/\n')

  test('paths come sorted, from the workspace on, without what git ignores', async () => {
    await using folder = tree(new ToolFolder())
    expect((await folder.call('glob', { pattern: '**/*.ts' })).output).toBe('src/a.ts\nsrc/b.ts\nsrc/deep/c.ts')
    expect((await folder.call('glob', { pattern: 'src/{a,b}.ts' })).output).toBe('src/a.ts\nsrc/b.ts')
    expect((await folder.call('glob', { pattern: '**/*.yml' })).output).toBe('.github/w.yml')
    expect((await folder.call('glob', { pattern: '**' })).output).not.toMatch(/\.git\/|node_modules|build/)
  })

  test('a folder to count from keeps the rules of the workspace', async () => {
    await using folder = tree(new ToolFolder()).file('src/build/x.ts', '')
    expect((await folder.call('glob', { pattern: '*.ts', path: 'src' })).output).toBe('src/a.ts\nsrc/b.ts')
    expect((await folder.call('glob', { pattern: '**/*.ts', path: 'src' })).output).not.toContain('build')
    folder.file('odd [dir]/(x)/y.ts', '')
    expect((await folder.call('glob', { pattern: '*.ts', path: 'odd [dir]/(x)' })).output).toBe('odd [dir]/(x)/y.ts')
  })

  test('nothing found, and more than is shown', async () => {
    await using folder = tree(new ToolFolder({ limits: { entries: 2 } }))
    expect((await folder.call('glob', { pattern: '*.rs' })).output).toBe('(no file matches)')
    expect((await folder.call('glob', { pattern: '**/*.ts' })).output).toBe(
      'src/a.ts\nsrc/b.ts\n(1 more are not shown)',
    )
  })

  test('only so many entries are looked at', async () => {
    await using folder = new ToolFolder({ limits: { walkedEntries: 10 } })
    for (let index = 0; index < 30; index++) folder.file(`d${index}/x.ts`, '')
    const { output, metadata } = await folder.call('glob', { pattern: '**/*.ts' })
    expect(output).toContain('(only the first 10 entries were looked at)')
    expect(metadata).toMatchObject({ is_cut: true })
  })

  test('links and pipes are not among the files', async () => {
    await using folder = new ToolFolder()
    folder.file('a/x.ts', '').link('b', 'a').link('l.ts', 'a/x.ts')
    folder.pipe('p.ts').pipe('.gitignore')
    expect((await folder.call('glob', { pattern: '**/*.ts' })).output).toBe('a/x.ts')
  })

  test.each([
    ['', /is empty/],
    ['a'.repeat(501), /longer than 500/],
    ['../*', /holds '\.\.'/],
    ['/etc/*', /is absolute/],
    ['!a', /begins with '!'/],
    ['a\\b', /backslash/],
    ['a\0', /NUL/],
    ['{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}', /more than 200 patterns/],
    ['a*b*c*d*e*f', /more than 4 '\*'/],
    ['**/a/**/a/**/a/**/a/**', /more than 4 '\*\*'/],
  ])('the pattern %j is refused', async (pattern, message) => {
    await using folder = new ToolFolder()
    expect(await folder.refusal('glob', { pattern })).toMatch(message)
  })

  test('the worst pattern that is taken does not hold the process', async () => {
    await using folder = new ToolFolder()
    folder.file(`${'a'.repeat(60)}/${'a'.repeat(200)}`, '')
    const start = performance.now()
    await folder.call('glob', { pattern: '**/*a*a*a*b' })
    expect(performance.now() - start).toBeLessThan(3000)
  })
})

describe('grep', () => {
  const tree = (folder: ToolFolder): ToolFolder =>
    folder
      .file('a.ts', 'const one = 1\nconst two = 2\nlet three\n')
      .file('src/b.md', '# One\r\ntext\r\n')
      .file('build/c.ts', 'const built')
      .file('.gitignore', 'build')

  test('matches come by path, line and text', async () => {
    await using folder = tree(new ToolFolder())
    const { output, metadata } = await folder.call('grep', { pattern: 'const \\w+' })
    expect(output).toBe('a.ts:1:const one = 1\na.ts:2:const two = 2')
    expect(metadata).toMatchObject({ matches: 2, files: 1, skipped_binary: 0, is_cut: false })
  })

  test('case, files to include, and one file or folder', async () => {
    await using folder = tree(new ToolFolder())
    const grep = async (args: object): Promise<string> =>
      (await folder.call('grep', { pattern: 'one', ...args })).output
    expect(await grep({ ignore_case: true })).toBe('a.ts:1:const one = 1\nsrc/b.md:1:# One')
    expect(await grep({ ignore_case: true, include: '*.md' })).toBe('src/b.md:1:# One')
    expect(await grep({ ignore_case: true, include: 'src/*.md' })).toBe('src/b.md:1:# One')
    expect(await grep({ ignore_case: true, path: 'src' })).toBe('src/b.md:1:# One')
    expect(await grep({ path: 'a.ts' })).toBe('a.ts:1:const one = 1')
    expect(await grep({ path: 'src' })).toBe('(no match in 1 files)')
  })

  test('context shows the lines around, each once', async () => {
    await using folder = new ToolFolder()
    folder.file('a', '1\nx\n3\n4\n5\nx\n7\nx\n9\n').file('b', 'x\n')
    const { output } = await folder.call('grep', { pattern: 'x', context: 1 })
    expect(output).toBe('a-1-1\na:2:x\na-3-3\n--\na-5-5\na:6:x\na-7-7\na:8:x\na-9-9\n--\nb:1:x')
  })

  test('only so many matches are shown', async () => {
    await using folder = new ToolFolder()
    folder.file('a', 'x\n'.repeat(10)).file('b', 'x\n')
    const { output, metadata } = await folder.call('grep', { pattern: 'x', max_results: 3 })
    expect(output).toBe('a:1:x\na:2:x\na:3:x\n(more matches are not shown: the first 3 are)')
    expect(metadata).toMatchObject({ matches: 3, is_cut: true })
    expect((await folder.call('grep', { pattern: 'x', max_results: 11 })).output).not.toContain('not shown')
  })

  test('binary and large files are skipped and counted', async () => {
    await using folder = new ToolFolder({ limits: { fileBytes: 1000 } })
    folder.file('a', Buffer.from('x\0x')).file('b', 'x'.repeat(1001)).file('c', 'x')
    const { output } = await folder.call('grep', { pattern: 'x' })
    expect(output).toBe('c:1:x\n(1 binary files were skipped)\n(1 files were skipped: more than 1000 bytes)')
    expect(await folder.refusal('grep', { pattern: 'x', path: 'none' })).toBe("Path 'none' does not exist")
  })

  test('what is no RE2 expression is explained', async () => {
    await using folder = new ToolFolder()
    expect(await folder.refusal('grep', { pattern: '(' })).toMatch(/^The pattern is not an RE2 regular expression: /)
    expect(await folder.refusal('grep', { pattern: '(a)\\1' })).toMatch(/not an RE2/)
    expect(await folder.refusal('grep', { pattern: 'x', include: '../*' })).toMatch(/^include holds '\.\.'/)
  })

  test('an expression that would never end elsewhere ends', async () => {
    await using folder = new ToolFolder()
    folder.file('a', `${'a'.repeat(50_000)}\n`)
    expect((await folder.call('grep', { pattern: '(a+)+b' })).output).toBe('(no match in 1 files)')
  })

  test('it stops at once when it is aborted, and everything else has its turns meanwhile', async () => {
    await using folder = new ToolFolder()
    folder.file('a', 'some words on a line\n'.repeat(400_000))
    let turns = 0
    let atTurn = (): void => {}
    const counting = setInterval(() => {
      turns++
      atTurn()
    }, 1)
    const search = { pattern: '(\\w+ )+zzz' }
    expect((await folder.call('grep', search)).output).toBe('(no match in 1 files)')
    const whole = turns
    const controller = new AbortController()
    turns = 0
    atTurn = () => {
      if (turns > whole / 2) controller.abort('enough')
    }
    await expect(folder.call('grep', search, controller.signal)).rejects.toBe('enough')
    clearInterval(counting)
    expect(whole).toBeGreaterThan(10)
  })
})

/** The workspace is a border: no path, link, pattern or race leads a tool over it. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { linkSync, mkdirSync, readdirSync, renameSync, rmSync, symlinkSync } from 'node:fs'
import { dirname } from 'node:path'
import { execPath } from 'node:process'
import { describe, expect, test } from 'vitest'
import { Folder } from '../../src/agent/tools/folder.js'
import { Workspace } from '../../src/agent/tools/index.js'
import { parsePath } from '../../src/agent/tools/path-text.js'
import { SECRET, ToolFolder } from '../behaviour/agent/tool-folder.js'
import { waysOut, withWaysOut } from './sandbox-table.js'

describe('ways out', () => {
  test.each(waysOut.map((one) => [one.name, one] as const))('%s', async (_name, { tool, args }) => {
    await using folder = withWaysOut(new ToolFolder())
    const beside = readdirSync(dirname(folder.path().replace(/\/$/, ''))).join()
    const { output, exit_code: exitCode = 0, metadata } = await folder.call(tool, args(folder))
    expect(`${output} ${JSON.stringify(metadata)}`).not.toContain('the secret beside')
    expect(folder.outsideNow()).toBe(`secret.txt ${SECRET}`)
    expect(readdirSync(dirname(folder.path().replace(/\/$/, ''))).join()).toBe(beside)
    expect(folder.has('taken')).toBe(false)
    // searches over everything find nothing; everything else is refused in a sentence, or is a name that is not there
    const isNothing = exitCode === 0 && /^\((?:no file matches|no match in \d+ files)\)$/.test(output)
    const isRefusal = exitCode !== 0 && !output.includes('\n')
    expect([isNothing || isRefusal, output]).toEqual([true, output])
  })

  test('there are enough of them', () => {
    expect(waysOut.length).toBeGreaterThan(200)
  })

  test('the sentence says what is wrong', async () => {
    await using folder = withWaysOut(new ToolFolder())
    const refusal = (path: string): Promise<string> => folder.refusal('read', { path })
    expect(await refusal('../x')).toBe("Path '../x' is outside the workspace")
    expect(await refusal('/etc/passwd')).toBe("Path '/etc/passwd' is outside the workspace")
    expect(await refusal('link-file')).toBe("Path 'link-file' is outside the workspace: the link link-file leads there")
    expect(await refusal('a\0b')).toBe("Path 'a\\u0000b' holds a NUL character")
    expect(await refusal('a\\b')).toBe("Path 'a\\b' holds a backslash: write paths with '/'")
    expect(await refusal('~/x')).toMatch(/'~' is not a folder here/)
    expect(await refusal('n'.repeat(256))).toMatch(/a name has at most 255 bytes$/)
    expect(await refusal('n/'.repeat(3000))).toMatch(/a path has at most 4096 bytes$/)
  })
})

describe('what stays inside is allowed', () => {
  test('links within the workspace are followed for reading and writing', async () => {
    await using folder = new ToolFolder()
    folder.file('a/x', '1').link('l', 'a/x').link('d', 'a').link('abs', folder.path('a')).link('self', '.')
    for (const path of ['l', 'd/x', 'abs/x', 'self/a/x', 'self/self/d/../a/x', folder.path('a/x'), 'a//./x']) {
      expect((await folder.call('read', { path })).output).toBe('     1\t1')
    }
    await folder.call('write', { path: 'l', content: '2' })
    expect([folder.text('a/x'), folder.text('l')]).toEqual(['2', '2'])
    await folder.call('write', { path: 'd/new', content: '3' })
    expect(folder.text('a/new')).toBe('3')
  })

  test('going up means up from where a link leads', async () => {
    await using folder = new ToolFolder()
    folder.file('a/x', 'in a').file('x', 'at the top').link('l', 'a/b').file('a/b/y', '')
    expect((await folder.call('read', { path: 'l/../x' })).output).toBe('     1\tin a')
  })

  test('links in a circle, and too many of them, are told', async () => {
    await using folder = new ToolFolder()
    folder.link('one', 'two').link('two', 'one').link('own', 'own/x').file('end', 'x')
    for (let index = 0; index < 50; index++) folder.link(`n${index}`, index === 0 ? 'end' : `n${index - 1}`)
    expect(await folder.refusal('read', { path: 'one' })).toMatch(/too many links, or in a circle/)
    expect(await folder.refusal('read', { path: 'own' })).toMatch(/too many links, or in a circle/)
    expect(await folder.refusal('read', { path: 'n49' })).toMatch(/too many links, or in a circle/)
    expect((await folder.call('read', { path: 'n30' })).output).toBe('     1\tx')
  })

  test('a workspace that is given as a link is its real folder, and both names of it are good', async () => {
    await using folder = new ToolFolder()
    folder.file('x', 'here')
    symlinkSync(folder.path(), folder.outside('ws-link'))
    const workspace = new Workspace(folder.outside('ws-link'))
    const read = async (path: string): Promise<string> => {
      const handle = await workspace.openFile(await workspace.locate(path))
      return handle.readFile('utf8').finally(() => handle.close())
    }
    expect(await read('x')).toBe('here')
    expect(await read(folder.outside('ws-link/x'))).toBe('here')
    expect(await read(folder.path('x'))).toBe('here')
    await expect(read(folder.outside('secret.txt'))).rejects.toThrow(/outside the workspace/)
  })

  test.each(['', 'none', 'file', 'file/x', 5])('%j is no workspace', async (given) => {
    await using folder = new ToolFolder()
    folder.file('file', '')
    const path = typeof given === 'string' && given !== '' ? folder.path(given) : given
    expect(() => new Workspace(path as string)).toThrow(/workspace must be/)
  })

  test('names that look odd are only names', async () => {
    await using folder = new ToolFolder()
    for (const path of ['...', '..a', 'a..', '~x', '%2e%2e', '-rf', '$HOME', 'ａ', 'e\u0301', 'é', 'con', 'aux.c']) {
      await folder.call('write', { path, content: path })
      expect(folder.text(path)).toBe(path)
    }
    expect(folder.names()).toHaveLength(12)
  })
})

describe('links that are put there meanwhile', () => {
  test('a folder that becomes a link after the look is not read, written or listed through', async () => {
    await using folder = new ToolFolder()
    folder.file('d/secret.txt', 'mine')
    const { workspace } = folder
    const [file, made, listed] = await Promise.all([
      workspace.locate('d/secret.txt'),
      workspace.locate('d/new/file'),
      workspace.locate('d'),
    ])
    renameSync(folder.path('d'), folder.path('e'))
    symlinkSync(folder.outside(), folder.path('d'))
    await expect(workspace.openFile(file)).rejects.toThrow(/changed while it was used/)
    await expect(workspace.openParent(made)).rejects.toThrow()
    await expect(workspace.openFolder(listed)).rejects.toThrow()
    expect(folder.outsideNow()).toBe(`secret.txt ${SECRET}`)
  })

  test('a file that becomes a link after the look is not read through', async () => {
    await using folder = new ToolFolder()
    folder.file('f', 'mine')
    const place = await folder.workspace.locate('f')
    rmSync(folder.path('f'))
    symlinkSync(folder.outside('secret.txt'), folder.path('f'))
    await expect(folder.workspace.openFile(place)).rejects.toThrow(/a link that changed/)
  })

  test('a file that becomes a pipe after the look does not hold the call', async () => {
    await using folder = new ToolFolder()
    folder.file('f', 'mine')
    const place = await folder.workspace.locate('f')
    rmSync(folder.path('f'))
    folder.pipe('f')
    await expect(folder.workspace.openFile(place)).rejects.toThrow(/not a regular file/)
  })

  test('what is done in an open folder is done there, wherever its path leads by then', async () => {
    await using folder = new ToolFolder()
    folder.file('d/x', 'mine')
    const open = await Folder.open(folder.path('d'))
    renameSync(folder.path('d'), folder.path('e'))
    symlinkSync(folder.outside(), folder.path('d'))
    const names = readdirSync(open.here)
    await open.close()
    expect(names).toEqual(['x'])
  })

  test('a writer that writes to a link replaces the link', async () => {
    await using folder = new ToolFolder()
    folder.file('f', 'mine')
    const { workspace } = folder
    const locate = workspace.locate.bind(workspace)
    workspace.locate = async (...args) => {
      const place = await locate(...args)
      rmSync(folder.path('f'))
      symlinkSync(folder.outside('secret.txt'), folder.path('f'))
      return place
    }
    await folder.call('copy', { from: 'f', to: 'g' })
    expect(folder.has('g')).toBe(false)
    expect(folder.outsideNow()).toBe(`secret.txt ${SECRET}`)
  })

  test('somebody who swaps a folder and a link all the time gets nothing out and nothing in', async () => {
    await using folder = new ToolFolder()
    folder.file('real/secret.txt', 'mine').file('real/sub/x', '')
    // a tool that writes makes the folder that is missing, which is in the way then
    const swap = `
      const { mkdirSync, renameSync, rmSync, symlinkSync, writeFileSync } = require('node:fs')
      const [ws, outside] = process.argv.slice(1)
      process.chdir(ws)
      process.stdout.write('.')
      for (;;) {
        try {
          renameSync('real', 'd')
          renameSync('d', 'real')
          symlinkSync(outside, 'd')
          rmSync('d')
        } catch {
          try {
            rmSync('d', { recursive: true, force: true })
            mkdirSync('real', { recursive: true })
            writeFileSync('real/secret.txt', 'mine')
          } catch {}
        }
      }`
    const swapper = spawn(execPath, ['-e', swap, folder.path(), folder.outside()], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    await once(swapper.stdout, 'data')
    const seen = new Set<string>()
    for (let round = 0; round < 60; round++) {
      const results = await Promise.all([
        folder.call('read', { path: 'd/secret.txt' }),
        folder.call('ls', { path: 'd' }),
        folder.call('grep', { pattern: '.', path: 'd/secret.txt' }),
        folder.call('write', { path: 'd/new.txt', content: 'x' }),
        folder.call('delete', { path: 'd/secret.txt.bak' }),
        folder.call('glob', { pattern: 'd/**' }),
      ])
      for (const { output } of results) seen.add(output)
    }
    swapper.kill('SIGKILL')
    await once(swapper, 'close')
    expect([...seen].join('\n')).not.toContain('the secret beside')
    expect(folder.outsideNow()).toBe(`secret.txt ${SECRET}`)
    expect(seen.size).toBeGreaterThan(5)
  }, 20_000)
})

describe('Windows', () => {
  const refused = (path: string): string => {
    try {
      return parsePath(path, 'windows').names.join('|')
    } catch (error) {
      return (error as Error).message
    }
  }

  test('its separators and drives are understood', () => {
    expect(refused('a\\b/c')).toBe('a|b|c')
    expect(refused('C:\\ws\\x')).toBe('C:|ws|x')
    expect(parsePath('C:\\ws', 'windows').isAbsolute).toBe(true)
    expect(parsePath('\\\\server\\share', 'windows').isAbsolute).toBe(true)
    expect(refused('..\\x')).toBe('..|x')
  })

  test.each(['CON', 'nul.txt', 'a/COM1', 'lpt9.log', 'aux'])('%s is a device', (path) => {
    expect(refused(path)).toMatch(/names a device of Windows/)
  })

  test.each(['a:stream', 'a.', 'a ', 'a*b', 'b?', 'x|y'])('%j is no name there', (path) => {
    expect(refused(path)).toMatch(/not a name that Windows allows/)
  })
})

test('a hard link cannot be told from a file of the workspace', async () => {
  await using folder = new ToolFolder()
  linkSync(folder.outside('secret.txt'), folder.path('hard'))
  // said in the documentation of Workspace: whoever can make one could as well copy the file
  expect((await folder.call('read', { path: 'hard' })).output).toContain(SECRET)
})

test('a tree that is deeper than a path is long is deleted, or refused with nothing outside touched', async () => {
  await using folder = new ToolFolder()
  let at = folder.path('deep')
  for (let depth = 0; depth < 150; depth++) at += '/d'
  mkdirSync(at, { recursive: true })
  symlinkSync(folder.outside(), `${at}/out`)
  expect((await folder.call('delete', { path: 'deep', recursive: true })).output).toMatch(/152 entries/)
  expect(folder.outsideNow()).toBe(`secret.txt ${SECRET}`)
})

/** The same border where a system does not show the open files of a process, as on macOS: looked at again instead. */
import { readdirSync, renameSync, rmSync, symlinkSync } from 'node:fs'
import { dirname } from 'node:path'
import { describe, expect, test, vi } from 'vitest'
import { Folder } from '../../src/agent/tools/folder.js'
import { SECRET, ToolFolder } from '../behaviour/agent/tool-folder.js'
import { waysOut, withWaysOut } from './sandbox-table.js'

vi.mock('node:fs', async (original) => {
  const real = await original<typeof import('node:fs')>()
  return { ...real, existsSync: (path: string) => path !== '/proc/self/fd' && real.existsSync(path) }
})

test('no way out is one here', async () => {
  for (const { name, tool, args } of waysOut) {
    await using folder = withWaysOut(new ToolFolder())
    const beside = dirname(folder.path().replace(/\/$/, ''))
    const { output } = await folder.call(tool, args(folder))
    expect(output, name).not.toContain('the secret beside')
    expect(folder.outsideNow(), name).toBe(`secret.txt ${SECRET}`)
    expect(readdirSync(beside), name).toEqual(['outside', 'ws'])
  }
}, 30_000)

describe('the tools do their work', () => {
  test('on files and folders', async () => {
    await using folder = new ToolFolder()
    await folder.call('write', { path: 'a/b/c', content: 'one' })
    await folder.call('edit', { path: 'a/b/c', old_string: 'one', new_string: 'two' })
    await folder.call('copy', { from: 'a', to: 'd' })
    await folder.call('move', { from: 'd/b/c', to: 'e' })
    await folder.call('delete', { path: 'a', recursive: true })
    expect((await folder.call('glob', { pattern: '**' })).output).toBe('e')
    expect((await folder.call('ls', {})).output).toBe('d/\ne (3 bytes)')
    expect((await folder.call('read', { path: 'e' })).output).toBe('     1\ttwo')
  })
})

describe('links that are put there meanwhile', () => {
  test('are seen after the opening', async () => {
    await using folder = new ToolFolder()
    folder.file('d/secret.txt', 'mine').file('d/sub/x', '')
    const { workspace } = folder
    const file = await workspace.locate('d/secret.txt')
    const made = await workspace.locate('d/sub/new')
    const above = await Folder.open(folder.path())
    renameSync(folder.path('d'), folder.path('e'))
    symlinkSync(folder.outside(), folder.path('d'))
    await expect(workspace.openFile(file)).rejects.toThrow(/changed while it was used/)
    await expect(workspace.openParent(made)).rejects.toThrow()
    await expect(above.child('d')).rejects.toThrow()
    rmSync(folder.path('d'))
    symlinkSync(folder.path('e'), folder.path('d'))
    await expect(workspace.openParent(made)).rejects.toThrow(/changed while it was used/)
    await above.close()
    expect(folder.outsideNow()).toBe(`secret.txt ${SECRET}`)
  })
})

/** Ways out of a workspace, as calls of tools. Nothing of them may read, list, change or make anything outside. */
import type { ToolFolder } from '../behaviour/agent/tool-folder.js'

export type WayOut = {
  readonly name: string
  readonly tool: string
  readonly args: (folder: ToolFolder) => Readonly<Record<string, unknown>>
}

const wayOut = (name: string, tool: string, args: WayOut['args'] | Readonly<Record<string, unknown>>): WayOut => ({
  name,
  tool,
  args: typeof args === 'function' ? args : () => args,
})

/** Paths that lead to the secret, or would if something were resolved that must not be. */
const secretPaths: readonly (readonly [string, (folder: ToolFolder) => string])[] = [
  ['up and over', () => '../outside/secret.txt'],
  ['up from a folder', () => 'a/../../outside/secret.txt'],
  ['up with dots and slashes', () => './/.././outside//secret.txt'],
  ['up through a folder that is not there', () => 'none/../../outside/secret.txt'],
  ['up and back in by name', () => '../ws/../outside/secret.txt'],
  ['an absolute path', (folder) => folder.outside('secret.txt')],
  ['an absolute path through the workspace', (folder) => `${folder.path()}/../outside/secret.txt`],
  ['an absolute path that begins like the workspace', (folder) => `${folder.path().replace(/\/$/, '')}-2/x`],
  ['two slashes before an absolute path', (folder) => `//${folder.outside('secret.txt')}`],
  ['a link to a file', () => 'link-file'],
  ['a link to a file, relative', () => 'link-relative'],
  ['a link to a folder', () => 'link-folder/secret.txt'],
  ['a link to a folder, with a dot', () => 'link-folder/./secret.txt'],
  ['a chain of links', () => 'chain-1'],
  ['a link in a folder of the workspace', () => 'a/deep-link/secret.txt'],
  ['a link to the root of the disk', (folder) => `link-root${folder.outside('secret.txt')}`],
  ['up from behind a link', () => 'link-folder/../outside/secret.txt'],
  ['a link that goes out and comes back', () => 'link-back/a/inside.txt'],
  ['a link to the folder above', () => 'link-parent/outside/secret.txt'],
  ['the root of this process', (folder) => `/proc/self/root${folder.outside('secret.txt')}`],
  ['the folder of this process', () => '/proc/self/cwd/package.json'],
  ['a link to the root of this process', (folder) => `link-proc-root${folder.outside('secret.txt')}`],
  ['a file that this process has open', () => '/dev/fd/0'],
  ['standard input', () => '/dev/stdin'],
  ['a link to a device', () => 'link-device'],
  ['a device', () => '/dev/zero'],
  ['a home folder', () => '~/.ssh/id_rsa'],
  ['the home folder', () => '~'],
  ['percent signs', () => '%2e%2e/outside/secret.txt'],
  ['more percent signs', () => '%2e%2e%2foutside%2fsecret.txt'],
  ['a URL of a file', (folder) => `file://${folder.outside('secret.txt')}`],
  ['wide dots and slashes', () => '．．／outside／secret.txt'],
  ['one dot leader', () => '‥/outside/secret.txt'],
  ['backslashes', () => '..\\outside\\secret.txt'],
  ['a NUL at the end', () => '../outside/secret.txt\0.png'],
  ['a NUL in between', () => 'a\0/../../outside/secret.txt'],
  ['a space before', () => ' ../outside/secret.txt'],
  ['a slash after', () => '../outside/secret.txt/'],
  ['three dots', () => '.../outside/secret.txt'],
  ['a very long way', () => `${'a/../'.repeat(300)}../outside/secret.txt`],
  ['a very long name', () => `${'a'.repeat(5000)}/../../outside/secret.txt`],
]

const readings = secretPaths.flatMap(([name, path]) => [
  wayOut(`read ${name}`, 'read', (folder) => ({ path: path(folder) })),
  wayOut(`edit ${name}`, 'edit', (folder) => ({ path: path(folder), old_string: 'secret', new_string: 'known' })),
  wayOut(`grep ${name}`, 'grep', (folder) => ({ pattern: 'secret', path: path(folder) })),
  wayOut(`copy from ${name}`, 'copy', (folder) => ({ from: path(folder), to: 'taken' })),
])

/** Where nothing may be made, changed or taken away. */
const targets: readonly (readonly [string, (folder: ToolFolder) => string])[] = [
  ['a new file outside', () => '../outside/new.txt'],
  ['a new file outside, absolute', (folder) => folder.outside('new.txt')],
  ['the secret', () => '../outside/secret.txt'],
  ['a new file behind a link', () => 'link-folder/new.txt'],
  ['a new folder behind a link', () => 'link-folder/new/file.txt'],
  ['a new file behind a chain', () => 'a/deep-link/new.txt'],
  ['a link to nothing outside', () => 'link-nothing/x'],
  ['a name beside the workspace', () => '../new.txt'],
]

const changes = targets.flatMap(([name, path]) => [
  wayOut(`write ${name}`, 'write', (folder) => ({ path: path(folder), content: 'x' })),
  wayOut(`copy to ${name}`, 'copy', (folder) => ({ from: 'a/inside.txt', to: path(folder), overwrite: true })),
  wayOut(`copy a folder to ${name}`, 'copy', (folder) => ({ from: 'a', to: path(folder), overwrite: true })),
  wayOut(`move to ${name}`, 'move', (folder) => ({ from: 'a/inside.txt', to: path(folder), overwrite: true })),
  wayOut(`move from ${name}`, 'move', (folder) => ({ from: path(folder), to: 'taken' })),
  wayOut(`delete ${name}`, 'delete', (folder) => ({ path: path(folder), recursive: true })),
])

const folders = [
  wayOut('ls the folder above', 'ls', { path: '..' }),
  wayOut('ls the root of the disk', 'ls', { path: '/' }),
  wayOut('ls behind a link', 'ls', { path: 'link-folder' }),
  wayOut('ls behind a link with a slash', 'ls', { path: 'link-folder/' }),
  wayOut('ls behind the link above', 'ls', { path: 'link-parent/outside' }),
  wayOut('glob the folder above', 'glob', { pattern: '../**' }),
  wayOut('glob from a folder up', 'glob', { pattern: 'a/../../**' }),
  wayOut('glob in braces', 'glob', { pattern: '{..,a}/**' }),
  wayOut('glob in braces, dot by dot', 'glob', { pattern: '{.,a}{.,b}/outside/*' }),
  wayOut('glob with a class of dots', 'glob', { pattern: '[.][.]/outside/*' }),
  wayOut('glob a whole path', 'glob', (folder) => ({ pattern: folder.outside('*') })),
  wayOut('glob behind a link', 'glob', { pattern: 'link-folder/*' }),
  wayOut('glob the file behind a link', 'glob', { pattern: 'link-folder/secret.txt' }),
  wayOut('glob behind all links', 'glob', { pattern: '**/secret*' }),
  wayOut('glob in the folder above', 'glob', { pattern: '*', path: '..' }),
  wayOut('glob in a folder behind a link', 'glob', { pattern: '*', path: 'link-folder' }),
  wayOut('grep the folder above', 'grep', { pattern: 'secret', path: '..' }),
  wayOut('grep with an include above', 'grep', { pattern: 'secret', include: '../**' }),
  wayOut('grep with an include behind a link', 'grep', { pattern: 'secret beside', include: 'link-folder/*' }),
  wayOut('grep with an include of a link', 'grep', { pattern: 'secret beside', include: 'link-file' }),
  wayOut('grep everything', 'grep', { pattern: 'secret beside' }),
  wayOut('bash in the folder above', 'bash', { command: 'ls', working_dir: '..' }),
  wayOut('bash behind a link', 'bash', { command: 'ls', working_dir: 'link-folder' }),
]

export const waysOut: readonly WayOut[] = [...readings, ...changes, ...folders]

/** A workspace with a link for each way out. */
export function withWaysOut(folder: ToolFolder): ToolFolder {
  return folder
    .file('a/inside.txt', 'inside')
    .link('link-file', folder.outside('secret.txt'))
    .link('link-relative', '../outside/secret.txt')
    .link('link-folder', folder.outside())
    .link('link-root', '/')
    .link('link-parent', '..')
    .link('link-proc-root', '/proc/self/root')
    .link('link-device', '/dev/zero')
    .link('link-back', '../ws')
    .link('link-nothing', folder.outside('nothing'))
    .link('a/deep-link', '../link-folder')
    .link('chain-1', 'chain-2')
    .link('chain-2', 'a/chain-3')
    .link('a/chain-3', '../../outside/secret.txt')
}

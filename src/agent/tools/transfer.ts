/** What `move` and `copy` have in common: two places, of which the second has to be free. */
import { ToolError } from './tool-error.js'
import { type Place, type Spot, Workspace } from './workspace.js'

export type TransferArgs = { readonly from: string; readonly to: string; readonly overwrite?: boolean | undefined }

export type Transfer = {
  readonly source: Place
  readonly target: Place
  readonly isFolder: boolean
}

/** Looks at both ends. Links are taken as themselves: nothing is moved or copied through one. */
export async function transferOf(workspace: Workspace, args: TransferArgs): Promise<Transfer> {
  const source = await workspace.locate(args.from, true)
  if (source.stats === undefined) throw new ToolError(`${source.text} does not exist`)
  if (source.names.length === 0) throw new ToolError(`${source.text} is the workspace folder itself`)
  const target = await workspace.locate(args.to, true)
  const isFolder = source.stats.isDirectory()
  refuseTarget(source, target, isFolder, args.overwrite === true)
  return { source, target, isFolder }
}

function refuseTarget(source: Place, target: Place, isFolder: boolean, mayReplace: boolean): void {
  const isWithin = source.names.every((name, index) => target.names[index] === name)
  if (isWithin && target.names.length === source.names.length) {
    throw new ToolError(`${source.text} and ${target.text} are the same`)
  }
  if (isWithin && isFolder) throw new ToolError(`${target.text} is inside ${source.text}`)
  if (target.stats?.isDirectory() === true) {
    throw new ToolError(`${target.text} is a folder that exists: give the new path, its name included`)
  }
  if (target.stats !== undefined && !mayReplace) {
    throw new ToolError(`${target.text} exists already: set overwrite to replace it`)
  }
  if (target.stats !== undefined && isFolder) throw new ToolError(`${target.text} is in the way of a folder`)
  if (target.endsAsFolder && !isFolder)
    throw new ToolError(`${target.text} names a folder: give the new path, its name included`)
}

/** Opens the folders of both ends for the body, and closes them. */
export async function between<T>(
  workspace: Workspace,
  { source, target }: Transfer,
  body: (from: Spot, to: Spot) => Promise<T>,
): Promise<T> {
  const from = await workspace.openParent(source)
  try {
    const to = await workspace.openParent(target)
    try {
      return await body(from, to)
    } finally {
      await to.folder.close()
    }
  } finally {
    await from.folder.close()
  }
}

export const fromTo = ({ source, target }: Transfer): { from: string; to: string } => ({
  from: Workspace.relative(source),
  to: Workspace.relative(target),
})

import { checkObject, refuseUnknown } from '../../core/index.js'
import { type BashOptions, bashTool } from './bash-tool.js'
import { batchTool } from './batch-tool.js'
import { copyTool } from './copy-tool.js'
import { deleteTool } from './delete-tool.js'
import { editTool } from './edit-tool.js'
import { globTool } from './glob-tool.js'
import { grepTool } from './grep-tool.js'
import { type ToolLimits, toolLimits } from './limits.js'
import { lsTool } from './ls-tool.js'
import { moveTool } from './move-tool.js'
import { readTool } from './read-tool.js'
import type { Tool } from './tool.js'
import { type WebFetchOptions, webFetchTool } from './web-fetch-tool.js'
import { writeTool } from './write-tool.js'

export type BuiltInToolOptions = BashOptions &
  WebFetchOptions & {
    /** How much one call may take and give; each has a default. */
    readonly limits?: Partial<ToolLimits> | undefined
  }

/**
 * The tools that an agent has: read, write, edit, delete, move, copy, ls, glob, grep, bash, web_fetch, batch. All files are those of the
 * workspace. `bash` begins there, and is not confined to it: a shell can do what this process's user can, so who may call
 * it is for the permission policy to say. `CONFIG_INVALID` for an unknown option or limit.
 */
export function builtInTools(options: BuiltInToolOptions = {}): Tool[] {
  checkObject('builtInTools options', options)
  refuseUnknown('builtInTools options', options, ['limits', 'env', 'clock', 'allowPrivate'])
  const limits = toolLimits(options.limits)
  return [
    readTool(limits),
    writeTool(limits),
    editTool(limits),
    deleteTool(),
    moveTool(),
    copyTool(limits),
    lsTool(limits),
    globTool(limits),
    grepTool(limits),
    bashTool(limits, options),
    webFetchTool(limits, options),
    batchTool(limits),
  ]
}

import { rename } from 'node:fs/promises'
import { defineTool, type Tool } from './tool.js'
import { about } from './tool-error.js'
import { between, fromTo, transferOf } from './transfer.js'

export const moveTool = (): Tool =>
  defineTool({
    name: 'move',
    description:
      'Moves or renames a file or folder within the workspace. to is the new path, its name included; folders on the way are made. What is there already is kept, unless it is a file and overwrite is true. A link is moved itself.',
    parameters: (z) =>
      z.strictObject({
        from: z.string().describe('The file or folder, from the workspace folder on'),
        to: z.string().describe('Its new path'),
        overwrite: z.boolean().optional().describe('Replace a file that is there; false by default'),
      }),
    run: async (args, { workspace }) => {
      const transfer = await transferOf(workspace, args)
      await between(workspace, transfer, (from, to) =>
        about(transfer.source.text, () => rename(from.folder.at(from.name), to.folder.at(to.name))),
      )
      const paths = fromTo(transfer)
      return { output: `Moved ${paths.from} to ${paths.to}`, metadata: paths }
    },
  })

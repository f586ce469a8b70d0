import type { ToolResult } from '../../session/index.js'
import { shownLine } from './clipped.js'
import type { ToolLimits } from './limits.js'
import { defineTool, type Tool } from './tool.js'
import { ToolError } from './tool-error.js'

const NAME = 'batch'

export const batchTool = (limits: ToolLimits): Tool =>
  defineTool({
    name: NAME,
    description: `Runs up to ${limits.batchCalls} calls of other tools in one: those that only read at the same time, then the others one after another. Each is checked as if it were called by itself. Gives all results in the order of the calls.`,
    // it does nothing by itself, and each of its calls is checked
    readOnly: true,
    parameters: (z) =>
      z.strictObject({
        calls: z
          .array(
            z.strictObject({
              name: z.string().min(1).describe('The tool'),
              args: z.record(z.string(), z.unknown()).optional().describe('Its arguments'),
            }),
          )
          .min(1)
          .max(limits.batchCalls),
      }),
    run: async ({ calls }, { runToolCalls, toolCallId = NAME }) => {
      if (calls.some(({ name }) => name === NAME)) throw new ToolError('A batch does not hold another batch')
      const results = await runToolCalls(
        calls.map(({ name, args = {} }, index) => ({ id: `${toolCallId}.${index + 1}`, name, args })),
      )
      const failed = results.filter(({ is_error }) => is_error).length
      const images = results.flatMap((result) => result.images ?? [])
      return {
        output: results.map(paragraphOf).join('\n\n'),
        exit_code: failed === 0 ? 0 : 1,
        metadata: {
          calls: results.length,
          failed,
          results: results.map(({ name, exit_code }) => ({ name, exit_code })),
        },
        ...(images.length === 0 ? {} : { images }),
      }
    },
  })

const SHOWN_NAME_CHARS = 100

function paragraphOf({ name, output, exit_code, is_error }: ToolResult, index: number): string {
  const how = is_error ? `failed, exit code ${exit_code}` : 'done'
  return `[${index + 1}] ${shownLine(name, SHOWN_NAME_CHARS)}: ${how}\n${output}`
}

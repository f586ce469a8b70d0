import { checkPattern } from './glob-pattern.js'
import { refuseOtherThanFolder } from './glob-tool.js'
import { Grep, type GrepWanted, searchedFor } from './grep.js'
import type { ToolLimits } from './limits.js'
import { defineTool, type Tool } from './tool.js'
import { type Place, refuseOtherThanFile, Workspace } from './workspace.js'
import { type FilesFound, filesOf } from './workspace-files.js'

/** How many times as many matches as by default a call may ask for. */
const MOST_TIMES = 10
const MOST_CONTEXT = 20

export const grepTool = (limits: ToolLimits): Tool =>
  defineTool({
    name: 'grep',
    description: `Searches the text files of the workspace for a regular expression, line by line (RE2 syntax: no look-around and no back-references). A match is given as path:line:text, context as path-line-text. What .gitignore names is left out, and so are .git, node_modules, links, binary files and files of more than ${limits.fileBytes} bytes. At most ${limits.matches} matches unless max_results says otherwise.`,
    readOnly: true,
    parameters: (z) =>
      z.strictObject({
        pattern: z.string().min(1).max(1000).describe('The regular expression'),
        path: z.string().optional().describe('The file or folder to search; the workspace itself by default'),
        include: z
          .string()
          .optional()
          .describe("Only files that fit this pattern, for example '*.ts' or 'src/**/*.md'"),
        ignore_case: z.boolean().optional().describe('Take upper and lower case as the same; false by default'),
        context: z
          .int()
          .min(0)
          .max(MOST_CONTEXT)
          .optional()
          .describe('Lines to show before and after a match; 0 by default'),
        max_results: z
          .int()
          .min(1)
          .max(limits.matches * MOST_TIMES)
          .optional()
          .describe(`Matches to show; ${limits.matches} by default`),
      }),
    run: async (args, { workspace, signal }) => {
      const expression = searchedFor(args.pattern, args.ignore_case === true)
      const place = await workspace.locate(args.path ?? '.')
      const { paths, isCut } = await filesIn(workspace, place, args.include, { limits, signal })
      const wanted: GrepWanted = {
        expression,
        context: args.context ?? 0,
        matches: args.max_results ?? limits.matches,
        lineChars: limits.lineChars,
        fileBytes: limits.fileBytes,
      }
      const grep = new Grep(workspace, wanted, signal)
      await grep.search(paths)
      const notes = isCut ? [`(only the first ${limits.walkedEntries} entries were looked at)`] : []
      return {
        output: [...grep.report(), ...notes].join('\n'),
        metadata: { path: Workspace.relative(place), ...grep.counts, is_cut: isCut || grep.isFull },
      }
    },
  })

type Within = { readonly limits: ToolLimits; readonly signal: AbortSignal }

async function filesIn(
  workspace: Workspace,
  place: Place,
  include: string | undefined,
  { limits, signal }: Within,
): Promise<FilesFound> {
  if (include !== undefined) checkPattern('include', include)
  if (place.stats?.isDirectory() === false) {
    refuseOtherThanFile(place)
    return { paths: [Workspace.relative(place)], isCut: false }
  }
  refuseOtherThanFolder(place)
  return filesOf(workspace, { place, pattern: patternOf(include), mostWalked: limits.walkedEntries, signal })
}

/** `*.ts` means files of that name in any folder. */
function patternOf(include: string | undefined): string {
  if (include === undefined) return '**'
  return include.includes('/') ? include : `**/${include}`
}

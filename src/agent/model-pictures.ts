/**
 * Pictures in the results of tools, on their way to a model. Few providers take them there, all that take pictures at all
 * take them from the user: so they follow the results in a message of their own.
 */
import type { AgentMessage, MessagePart } from './messages.js'

/** The messages with pictures taken out of tool results: after them where the model takes pictures, else only named. */
export function withPicturesApart(messages: readonly AgentMessage[], takesPictures: boolean): readonly AgentMessage[] {
  return messages.flatMap((message) => {
    if (message.role !== 'tool' || typeof message.content === 'string') return [message]
    const pictures = message.content.flatMap((part) => picturesOf(part))
    if (pictures.length === 0) return [message]
    const told = { ...message, content: message.content.map((part) => withoutPictures(part, takesPictures)) }
    return takesPictures ? [told, { role: 'user', content: pictures.flatMap(shown) }] : [told]
  })
}

type Picture = { readonly tool: string; readonly call: string; readonly mediaType: string; readonly data: string }

const isPicture = ({ type }: MessagePart): boolean => type === 'media'

/** The parts of a result; none when it is a text alone. */
function partsOf(result: MessagePart): readonly MessagePart[] {
  const { type, value } = new Object(result['output']) as { type?: unknown; value?: unknown }
  return type === 'content' && Array.isArray(value) ? (value as readonly MessagePart[]) : []
}

const picturesOf = (result: MessagePart): Picture[] =>
  partsOf(result)
    .filter(isPicture)
    .map((picture) => ({
      tool: result['toolName'] as string,
      call: result['toolCallId'] as string,
      mediaType: picture['mediaType'] as string,
      data: picture['data'] as string,
    }))

const shown = ({ tool, call, mediaType, data }: Picture): MessagePart[] => [
  { type: 'text', text: `From ${tool} (${call}):` },
  { type: 'file', mediaType, data },
]

function withoutPictures(result: MessagePart, takesPictures: boolean): MessagePart {
  const value = partsOf(result)
  if (value.length === 0) return result
  const where = takesPictures ? 'it follows' : 'not shown: this model takes no pictures'
  const texts = value.map((part) =>
    isPicture(part) ? `[${part['mediaType'] as string}: ${where}]` : (part['text'] as string),
  )
  return { ...result, output: { type: 'text', value: texts.join('\n') } }
}

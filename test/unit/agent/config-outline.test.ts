// biome-ignore-all lint/suspicious/noTemplateCurlyInString: templates of HCL
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { lineAndColumn, type Outline, outlineAt, placeOf } from '../../../src/agent/config-outline.js'
import { findMixedKey, hclOutline } from '../../../src/agent/hcl-outline.js'
import { jsonOutline } from '../../../src/agent/json-outline.js'

const HCL = `# a comment with x = 1 and {
/* y = 2
   { */ before = "a # no comment { \\" } \${ "nested }" }" // z
number = (1 + 2) * max(3,
  4)
document = <<-EOT
  here = 1
  block {
  EOT
object = {
  one = { "two three" = [1, { four = "}" }], five : 6 },
  seven = 8
}
list = ["a", {
  in_list = 1
}, <<EOT
]
EOT
, 9]
block "label" other {
  inside = 1
}
twice {
  first = 1
}
twice {
  second {
    third = "%{ if true }}%{ endif }"
  }
}
unicode-é_1 = 1
last = 1`

/** 'line:column' of a path. */
function at(text: string, outline: Outline, path: string): string {
  const place = placeOf(outline, path)
  if (place === undefined) return 'nowhere'
  const { line, column } = lineAndColumn(text, place)
  return `${line}:${column}`
}

test.each([
  ['before', '3:9'],
  ['x', 'nowhere'],
  ['z', 'nowhere'],
  ['number', '4:1'],
  ['document', '6:1'],
  ['here', 'nowhere'],
  ['object.one', '11:3'],
  ['object.one.two three[1].four', '11:31'],
  ['object.one.five', '11:46'],
  ['object.seven', '12:3'],
  ['list[0]', '14:9'],
  ['list[1].in_list', '15:3'],
  ['list[3]', '19:3'],
  ['block.label.other.inside', '21:3'],
  ['twice', '23:1'],
  ['twice[1]', '26:1'],
  ['twice[1].second.third', '28:5'],
  ['twice[1].second.missing', '27:3'],
  ['unicode-é_1', '31:1'],
  ['last', '32:1'],
])('%s of an HCL text is at %s', (path, place) => {
  expect(at(HCL, hclOutline(HCL), path)).toBe(place)
})

test.each([
  ['a = 1\nb {\n}', undefined],
  ['a = {}\na {\n}', 'a'],
  ['o {\n  a {\n  }\n  a = 1\n}', 'a'],
  ['l = [{ a = 1 }, { a = 2 }]', undefined],
])('%j has %j both as a block and with a value', (text, key) => {
  expect(findMixedKey(hclOutline(text))?.key).toBe(key)
})

test('the outline of HCL comes to an end on any text', () => {
  const piece = fc.constantFrom(
    'a',
    ' ',
    '\n',
    '"',
    '{',
    '}',
    '[',
    ']',
    '(',
    ')',
    '=',
    ',',
    '${',
    '%{',
    '<<E\n',
    'E\n',
    '\\',
    '/*',
    '*/',
    '#',
    '//',
    ':',
  )
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 60 }), (pieces) => {
      expect(hclOutline(pieces.join('')).at).toBe(0)
    }),
    { numRuns: 2000 },
  )
})

const JSON_TEXT = '{\n  "a": [1, {"b": true}],\n  "c\\u0064": {"e": null}\n}'

test.each([
  ['a', '2:3'],
  ['a[1].b', '2:13'],
  ['cd.e', '3:15'],
  ['missing', 'nowhere'],
])('%s of a JSON text is at %s', (path, place) => {
  const outline = jsonOutline(JSON_TEXT)
  expect('what' in outline ? outline.what : at(JSON_TEXT, outline, path)).toBe(place)
})

/** JSON with a few characters changed, taken out or put in. */
const broken = fc
  .tuple(
    fc.json({ maxDepth: 3 }),
    fc.array(
      fc.tuple(
        fc.nat(200),
        fc.constantFrom('', ',', '"', '}', ']', '{', ':', '\\', '1', 'e', '.', '-', ' ', '\n', '\t'),
      ),
      { maxLength: 3 },
    ),
  )
  .map(([text, changes]) =>
    changes.reduce((changed, [place, char]) => {
      const where = place % (changed.length + 1)
      return changed.slice(0, where) + char + changed.slice(where + (char === '' ? 1 : 0))
    }, text),
  )

test('what JSON.parse refuses has a fault, and nothing else but a key that is there twice', () => {
  fc.assert(
    fc.property(broken, (text) => {
      const outline = jsonOutline(text)
      const what = 'what' in outline ? outline.what : undefined
      expect(what === undefined || what.endsWith('is there twice')).toBe(
        isJson(text) || what?.endsWith('twice') === true,
      )
    }),
    { numRuns: 2000 },
  )
})

function isJson(text: string): boolean {
  try {
    JSON.parse(text)
    return true
  } catch {
    return false
  }
}

test('an outline that is empty places nothing', () => {
  expect(placeOf(outlineAt(0), 'a[0].b')).toBeUndefined()
})

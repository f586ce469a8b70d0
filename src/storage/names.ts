/** Lane ids and command types stand once in the file; rows refer to them by number. */
import { sumOfValues } from './checksum.js'
import type { Database, Row, Statement } from './driver.js'
import { corrupt } from './failure.js'
import { fromColumn, toColumn } from './text-column.js'

export class Names {
  readonly #select: Statement
  readonly #insert: Statement
  readonly #numbers = new Map<string, number>()
  readonly #names = new Map<number, string>()

  constructor(database: Database) {
    this.#select = database.prepare('SELECT number, name, sum FROM names WHERE number > ? ORDER BY number')
    this.#insert = database.prepare('INSERT INTO names (number, name, sum) VALUES (?, ?, ?)')
  }

  /** The number of a name; a new one is added, in the transaction that is open. */
  numberOf(name: string): number {
    const known = this.find(name)
    if (known !== undefined) return known
    const number = this.#names.size + 1
    this.#insert.run(number, toColumn(name), sumOfValues([number, name]))
    this.#learn(number, name)
    return number
  }

  find(name: string): number | undefined {
    if (!this.#numbers.has(name)) this.#read()
    return this.#numbers.get(name)
  }

  nameOf(number: number): string {
    if (!this.#names.has(number)) this.#read()
    const name = this.#names.get(number)
    if (name === undefined) throw corrupt(`A stored command refers to the name ${number}, which is not there`)
    return name
  }

  /** After a transaction that was rolled back: what it added is not there. */
  forget(): void {
    this.#numbers.clear()
    this.#names.clear()
  }

  #read(): void {
    for (const row of this.#select.all(this.#names.size)) {
      const [number, stored, sum] = row as Row & [number, string, number]
      const name = fromColumn(stored)
      if (number !== this.#names.size + 1 || sumOfValues([number, name]) !== sum) {
        throw corrupt('The names of lanes and types are damaged')
      }
      this.#learn(number, name)
    }
  }

  #learn(number: number, name: string): void {
    this.#numbers.set(name, number)
    this.#names.set(number, name)
  }
}

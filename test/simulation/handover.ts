import type { CommandPicture, Picture } from './picture.js'

/** Whether a command may start in a slot that was given up for its lane: then whatever else waits has no say. */
export const isHandover = ({ laneId }: CommandPicture, picture: Picture): boolean => picture.lane(laneId).owed > 0

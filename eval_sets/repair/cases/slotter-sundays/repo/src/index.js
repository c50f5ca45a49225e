export { Calendar, overlap, without } from './slots.js';
export { dayOf, minutesOf, momentOf, timeOf } from './times.js';
export { byWeek, daysOf, mondayOf, weekOf, weekday } from './weeks.js';

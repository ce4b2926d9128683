/**
 * Where the package's own files lie that are no code: styles, scripts and pages beside src and dist.
 * This file, like the bundle of the command, lies at the top of them. The addon: load_addon.ts.
 */
import * as path from 'node:path';

/** @param name such as `report/assets/page.css`. */
export const ownFile = (name: string): string => path.join(__dirname, name);

import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { Fleet } from '../../infra/define-fleet.ts';
import { changeFleet, emulateFleet, readPlan } from './plan.ts';

// What infra/app.ts is given as the config: the fleet that DEPLOY_PLAN names, with GitHub's address being the emulator's.
const plan = readPlan(process.env);
const { default: fleet } = (await import(pathToFileURL(resolve(plan.config)).href)) as { readonly default: Fleet };
const emulated = emulateFleet(fleet, plan);

export default plan.changed ? changeFleet(emulated) : emulated;

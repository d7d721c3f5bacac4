import { configureGlobal } from 'fast-check';

// No test may reach a real account, and the SDK must not go looking for one.
process.env['AWS_REGION'] = 'us-east-1';
process.env['AWS_ACCESS_KEY_ID'] = 'test';
process.env['AWS_SECRET_ACCESS_KEY'] = 'test';
process.env['AWS_EC2_METADATA_DISABLED'] = 'true';

// The same sequences every time: a red run can be looked at again. FC_SEED plays others.
configureGlobal({ seed: Number(process.env['FC_SEED'] ?? 20_261_121) });

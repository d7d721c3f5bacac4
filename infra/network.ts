import {
  GatewayVpcEndpointAwsService,
  InterfaceVpcEndpoint,
  InterfaceVpcEndpointAwsService,
  IpAddresses,
  Port,
  SecurityGroup,
  SubnetType,
  Vpc,
} from 'aws-cdk-lib/aws-ec2';
import type { IVpc, SubnetConfiguration } from 'aws-cdk-lib/aws-ec2';
import { Construct } from 'constructs';
import type { NetworkChoices } from './fleet-config/read-network.ts';

/**
 * Where runners live. By itself: public subnets in two zones, an address of its own for each task, no way in. It costs nothing while
 * nothing runs; a NAT gateway would cost more than most fleets.
 */
export class Network extends Construct {
  /** Of one that exists no more than the id is known. */
  readonly vpc: IVpc;
  readonly subnets: readonly string[];
  readonly securityGroups: readonly string[];
  /** Without it a task in a public subnet reaches nothing. */
  readonly assignPublicIp: 'ENABLED' | 'DISABLED';

  constructor(scope: Construct, id: string, choices: NetworkChoices) {
    super(scope, id);
    switch (choices.kind) {
      case 'public': {
        this.vpc = this.#makeVpc('Vpc', choices.cidr, [{ ...inNobodysWay, name: 'Runners' }]);
        this.subnets = this.vpc.publicSubnets.map((subnet) => subnet.subnetId);
        this.securityGroups = [this.#letOut().securityGroupId];
        this.assignPublicIp = 'ENABLED';
        break;
      }
      case 'private': {
        const { cidr, natGateways, endpoints } = choices;
        const isolated = natGateways === 0;
        // A VPC of its own: subnets that moved within one would ask for addresses that are still taken.
        this.vpc = this.#makeVpc(
          'PrivateVpc',
          cidr,
          [
            // The smallest AWS makes. Held free without gateways, so that the runners' subnets stay when one comes.
            { ...inNobodysWay, name: 'Nat', cidrMask: 28, reserved: isolated },
            { name: 'Runners', subnetType: isolated ? SubnetType.PRIVATE_ISOLATED : SubnetType.PRIVATE_WITH_EGRESS },
          ],
          natGateways,
        );
        const runners = this.#letOut();
        if (endpoints) this.#makeEndpoints(runners);
        this.subnets = this.vpc.selectSubnets({ subnetGroupName: 'Runners' }).subnetIds;
        this.securityGroups = [runners.securityGroupId];
        this.assignPublicIp = 'DISABLED';
        break;
      }
      case 'existing': {
        const { vpcId, subnetIds, securityGroupIds, assignPublicIp } = choices;
        // No look-up: it would need the account at synth. CDK wants a zone named, for subnets that it is not told of.
        this.vpc = Vpc.fromVpcAttributes(this, 'Vpc', { vpcId, availabilityZones: ['any'] });
        this.subnets = subnetIds;
        this.securityGroups = securityGroupIds.length > 0 ? securityGroupIds : [this.#letOut().securityGroupId];
        this.assignPublicIp = assignPublicIp ? 'ENABLED' : 'DISABLED';
      }
    }
  }

  #makeVpc(id: string, cidr: string, subnetConfiguration: SubnetConfiguration[], natGateways = 0): Vpc {
    return new Vpc(this, id, {
      ipAddresses: IpAddresses.cidr(cidr),
      maxAzs: 2,
      natGateways,
      subnetConfiguration,
      // Nothing is ever in the default group. Emptying it takes a function that is not ours.
      restrictDefaultSecurityGroup: false,
      // Free, and they keep claims and image layers on AWS's own network.
      gatewayEndpoints: {
        DynamoDb: { service: GatewayVpcEndpointAwsService.DYNAMODB },
        S3: { service: GatewayVpcEndpointAwsService.S3 },
      },
    });
  }

  #letOut(): SecurityGroup {
    return new SecurityGroup(this, 'RunnerSecurityGroup', {
      vpc: this.vpc,
      description: 'Runners: no way in, any way out',
      // Jobs reach what they need, and nobody knows what that is.
      allowAllOutbound: true,
    });
  }

  /** All that starts a task from ECR and keeps its log; layers come through the gateway of S3. */
  #makeEndpoints(runners: SecurityGroup): void {
    const securityGroup = new SecurityGroup(this, 'EndpointSecurityGroup', {
      vpc: this.vpc,
      description: 'Endpoints: HTTPS from runners, no way out',
      allowAllOutbound: false,
    });
    securityGroup.addIngressRule(runners, Port.HTTPS, 'HTTPS from runners');
    const services = {
      EcrApi: InterfaceVpcEndpointAwsService.ECR,
      EcrDocker: InterfaceVpcEndpointAwsService.ECR_DOCKER,
      Logs: InterfaceVpcEndpointAwsService.CLOUDWATCH_LOGS,
    };
    for (const [id, service] of Object.entries(services)) {
      new InterfaceVpcEndpoint(this, id, {
        vpc: this.vpc,
        service,
        subnets: { subnetGroupName: 'Runners' },
        securityGroups: [securityGroup],
        // CDK would let in the whole VPC beside the runners.
        open: false,
      });
    }
  }
}

/** RunTask and NAT gateways ask for their addresses themselves; nothing else that lands here should get one. */
const inNobodysWay = { subnetType: SubnetType.PUBLIC, mapPublicIpOnLaunch: false } as const;

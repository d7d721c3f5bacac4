import { GatewayVpcEndpointAwsService, IpAddresses, SecurityGroup, SubnetType, Vpc } from 'aws-cdk-lib/aws-ec2';
import { Construct } from 'constructs';

type NetworkProps = {
  readonly cidr: string;
};

/**
 * Where runners live: public subnets in two zones, an address of its own for each task, no way in. It costs nothing while nothing
 * runs; a NAT gateway would cost more than most fleets.
 */
export class Network extends Construct {
  readonly vpc: Vpc;
  readonly securityGroup: SecurityGroup;
  readonly subnets: readonly string[];
  /** Without it a task in a public subnet reaches nothing. */
  readonly assignPublicIp = 'ENABLED';

  constructor(scope: Construct, id: string, { cidr }: NetworkProps) {
    super(scope, id);
    this.vpc = new Vpc(this, 'Vpc', {
      ipAddresses: IpAddresses.cidr(cidr),
      maxAzs: 2,
      natGateways: 0,
      // RunTask asks for the address itself; nothing else that lands here should get one.
      subnetConfiguration: [{ name: 'Runners', subnetType: SubnetType.PUBLIC, mapPublicIpOnLaunch: false }],
      // Nothing is ever in the default group. Emptying it takes a function that is not ours.
      restrictDefaultSecurityGroup: false,
      // Free, and they keep claims and image layers on AWS's own network.
      gatewayEndpoints: {
        DynamoDb: { service: GatewayVpcEndpointAwsService.DYNAMODB },
        S3: { service: GatewayVpcEndpointAwsService.S3 },
      },
    });
    this.securityGroup = new SecurityGroup(this, 'RunnerSecurityGroup', {
      vpc: this.vpc,
      description: 'Runners: no way in, any way out',
      // Jobs reach what they need, and nobody knows what that is.
      allowAllOutbound: true,
    });
    this.subnets = this.vpc.publicSubnets.map((subnet) => subnet.subnetId);
  }
}

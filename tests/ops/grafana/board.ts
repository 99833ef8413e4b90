// A dashboard file as Grafana types it. Their types are of objects in memory: in a file, an enum is its value.
import type {
  Dashboard,
  DataQuery,
  FieldConfig,
  FieldConfigSource,
  GraphFieldConfig,
  Panel,
  RowPanel,
} from '@grafana/schema';
import type { Options as Stat } from '@grafana/schema/dist/esm/raw/composable/stat/panelcfg/x/StatPanelCfg_types.gen';
import type { Options as TimeSeries } from '@grafana/schema/dist/esm/raw/composable/timeseries/panelcfg/x/TimeSeriesPanelCfg_types.gen';

type Written<T> = T extends string
  ? `${T}`
  : T extends (infer Item)[]
    ? Written<Item>[]
    : T extends object
      ? { [Key in keyof T]: Written<T[Key]> }
      : T;

// The package has no type for Prometheus' queries: these are the fields that we write.
interface Query extends DataQuery {
  expr: string;
  legendFormat: string;
  exemplar: boolean;
  instant: boolean;
  range: boolean;
}

// Theirs takes any panel with any options: here the type of a panel says which. What is left out has a default.
interface Shows<Type extends string, Options, Custom> extends Omit<Panel, 'type' | 'fieldConfig' | 'options' | 'targets'> {
  type: Type;
  fieldConfig: Omit<FieldConfigSource, 'defaults'> & { defaults: Omit<FieldConfig, 'custom'> & { custom?: Custom } };
  options: Partial<Options>;
  targets: Query[];
}

type AnyPanel = RowPanel | Shows<'stat', Stat, never> | Shows<'timeseries', TimeSeries, GraphFieldConfig>;

export type Board = Written<Omit<Dashboard, 'panels'> & { panels: AnyPanel[] }>;
